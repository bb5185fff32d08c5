package storetest

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/lease"
	"github.com/pinstatus/pinstatus/projector/view"
)

// Store is a view store from all of its sides: the projector's, the query service's and that
// of the tools.
type Store interface {
	projector.Store
	projector.Inspector
	lease.Store

	// Generation returns the serving generation, the zero Generation if there is none yet.
	Generation(ctx context.Context) (view.Generation, error)

	// Ping asks whether the store answers.
	Ping(ctx context.Context) error
}

// Fixture is an empty store, and what a test may do to it from outside.
type Fixture struct {
	Store Store

	// Now is the store's clock.
	Now func() time.Time

	// Advance moves the store's clock on. If it is nil, the clock is the world's and the
	// suite waits.
	Advance func(time.Duration)

	// Flush makes the store lose everything.
	Flush func()
}

// Run holds a store to the suite. newFixture makes an empty one for each test.
func Run(t *testing.T, newFixture func(t *testing.T) *Fixture) {
	t.Helper()
	s := &suite{newFixture}
	t.Run("Ping", s.testPing)
	t.Run("Generation", s.testGeneration)
	t.Run("GenerationRace", s.testGenerationRace)
	t.Run("Serving", s.testServing)
	t.Run("ServingRace", s.testServingRace)
	t.Run("ServingMisuse", s.testServingMisuse)
	t.Run("Empty", s.testEmpty)
	t.Run("FirstCommit", s.testFirstCommit)
	t.Run("PositionRoundTrip", s.testPositionRoundTrip)
	t.Run("Replace", s.testReplace)
	t.Run("Drop", s.testDrop)
	t.Run("DropWhatIsNotThere", s.testDropAbsent)
	t.Run("PositionOnly", s.testPositionOnly)
	t.Run("MovedPosition", s.testMovedPosition)
	t.Run("MovedPositionComparesAll", s.testMovedPositionComparesAll)
	t.Run("Repeat", s.testRepeat)
	t.Run("RacingCommits", s.testRacingCommits)
	t.Run("OneInstant", s.testOneInstant)
	t.Run("Flush", s.testFlush)
	t.Run("ViewExpires", s.testViewExpires)
	t.Run("ViewExpiryReplaced", s.testViewExpiryReplaced)
	t.Run("ExpiredBefore", s.testExpiredBefore)
	t.Run("FarExpiry", s.testFarExpiry)
	t.Run("Locks", s.testLocks)
	t.Run("LockOutlivesView", s.testLockOutlivesView)
	t.Run("LockExpires", s.testLockExpires)
	t.Run("LockReplaced", s.testLockReplaced)
	t.Run("Clock", s.testClock)
	t.Run("OddNames", s.testOddNames)
	t.Run("OddValues", s.testOddValues)
	t.Run("Copies", s.testCopies)
	t.Run("Kinds", s.testKinds)
	t.Run("Generations", s.testGenerations)
	t.Run("Partitions", s.testPartitions)
	t.Run("ReadOrder", s.testReadOrder)
	t.Run("BigCommit", s.testBigCommit)
	t.Run("Model", s.testModel)
	t.Run("DropPartition", s.testDropPartition)
	t.Run("DropPartitionAgain", s.testDropPartitionAgain)
	t.Run("Scan", s.testScan)
	t.Run("ScanOddNames", s.testScanOddNames)
	t.Run("ScanExpired", s.testScanExpired)
	t.Run("ScanUnderChange", s.testScanUnderChange)
	t.Run("ScanStops", s.testScanStops)
	t.Run("ScanLocks", s.testScanLocks)
	t.Run("Hold", s.testHold)
	t.Run("HoldRace", s.testHoldRace)
	t.Run("HoldExpires", s.testHoldExpires)
	t.Run("HoldRenews", s.testHoldRenews)
	t.Run("HoldClock", s.testHoldClock)
	t.Run("Leases", s.testLeases)
	t.Run("Members", s.testMembers)
	t.Run("MembersExpire", s.testMembersExpire)
	t.Run("MembersClock", s.testMembersClock)
	t.Run("MembersRace", s.testMembersRace)
	t.Run("CanceledContext", s.testCanceled)
	t.Run("Misuse", s.testMisuse)
}

// suite makes a fixture for each of its tests.
type suite struct {
	newFixture func(t *testing.T) *Fixture
}

// generation is the one that most tests use.
var generation = view.Generation{Number: 7, Partitions: 16}

// position is a position record of so many events.
func position[N int | uint64](events N) view.Position {
	return view.Position{
		Sequence: uint64(events), Witness: 1_795_000_000_123_456_789 + int64(events), Stream: 1_794_000_000_000_000_001,
		Partitions: 16, Codec: view.CodecVersion, Policy: 3, PolicyHash: "5e884898da280471",
	}
}

// keyIn is the nth key of a kind in partition p.
func keyIn(p int, kind view.Kind, n int) view.Key {
	for i := 0; ; i++ {
		k := view.Key{Kind: kind, Tenant: "acme", ID: "id" + strconv.Itoa(i)}
		if k.Partition(generation.Partitions) == p {
			if n == 0 {
				return k
			}
			n--
		}
	}
}

// keysIn are the first n keys of a kind in partition p.
func keysIn(p int, kind view.Kind, n int) []view.Key {
	keys := make([]view.Key, 0, n)
	for i := 0; len(keys) < n; i++ {
		k := view.Key{Kind: kind, Tenant: "acme", ID: "id" + strconv.Itoa(i)}
		if k.Partition(generation.Partitions) == p {
			keys = append(keys, k)
		}
	}
	return keys
}

// commit is a commit to partition p of the usual generation.
func commit(p int, from, to view.Position, writes ...projector.Write) *projector.Commit {
	return &projector.Commit{Generation: generation, Partition: p, From: from, To: to, Writes: writes}
}

// put is a write of a view that does not expire.
func put(k view.Key, value string, locks ...projector.Lock) projector.Write {
	return projector.Write{Key: k, Value: []byte(value), Locks: locks}
}

// mustCommit commits and expects it to go through.
func mustCommit(t *testing.T, s Store, c *projector.Commit) {
	t.Helper()
	got, err := s.Commit(t.Context(), c)
	if err != nil {
		t.Fatalf("commit to %d: %v", c.To.Sequence, err)
	}
	if got != c.To {
		t.Fatalf("commit from %d to %d found the position %+v", c.From.Sequence, c.To.Sequence, got)
	}
}

// mustLoad loads views of the usual generation, as strings.
func mustLoad(t *testing.T, s Store, p int, keys ...view.Key) (view.Position, []string) {
	t.Helper()
	pos, values, err := s.Load(t.Context(), generation, p, keys)
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	if len(values) != len(keys) {
		t.Fatalf("load of %d views returned %d", len(keys), len(values))
	}
	return pos, texts(values)
}

// none stands for a view that is not there.
const none = "(none)"

func texts(values [][]byte) []string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = text(v)
	}
	return texts
}

func text(value []byte) string {
	if value == nil {
		return none
	}
	return string(value)
}

// mustRead reads one view of the usual generation.
func mustRead(t *testing.T, s Store, k view.Key, locks ...string) view.Record {
	t.Helper()
	records, err := s.Read(t.Context(), generation, []view.Read{{Key: k, Locks: locks}})
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	if len(records) != 1 || len(records[0].Locks) != len(locks) {
		t.Fatalf("read of one view with %d locks returned %+v", len(locks), records)
	}
	return records[0]
}

// patience is how long a test waits for a clock that it cannot move.
const patience = 30 * time.Second

// wait lets d pass on the store's clock and then until the condition holds; on a clock that
// the test moves it must hold at once.
func (f *Fixture) wait(t *testing.T, d time.Duration, what string, holds func() bool) {
	t.Helper()
	if f.Advance != nil {
		f.Advance(d)
		if !holds() {
			t.Fatalf("after %v: not so: %s", d, what)
		}
		return
	}
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
		<-tick.C
	}
}

// in is the time d from now on the store's clock, in Unix milliseconds.
func (f *Fixture) in(d time.Duration) int64 { return f.Now().Add(d).UnixMilli() }
