package snapshot

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/view"
)

// check compares a snapshot with the fold of everything up to its positions.
func (w *world) check(path string) *Info {
	w.t.Helper()
	f, err := Open(path)
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	defer f.Close()
	for p := range worldPartitions {
		at := f.Position(p)
		got := map[view.Key][]byte{}
		err := f.Views(context.Background(), p, func(writes []projector.Write) error {
			for _, write := range writes {
				if got[write.Key] != nil {
					w.t.Fatalf("partition %d: %v for the second time", p, write.Key)
				}
				got[write.Key] = write.Value
			}
			return nil
		})
		if err != nil {
			w.t.Fatalf("%v", err)
		}
		if d := cmp.Diff(w.want(p, at.Sequence), got); d != "" {
			w.t.Fatalf("partition %d at %d (-want +got):\n%s", p, at.Sequence, d)
		}
		if at.Sequence > 0 && at.Witness != w.messages[at.Sequence-1].Received {
			w.t.Fatalf("partition %d at %d: witness %d", p, at.Sequence, at.Witness)
		}
	}
	return f.Info()
}

// What is saved while everything changes is the fold up to where it says.
func TestSaveUnderway(t *testing.T) {
	saved, failed, folded := 0, map[string]int{}, 0
	dir, ctx := t.TempDir(), t.Context()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		publish := func() {
			w.publish(rapid.SampledFrom([]int{0, 0, 0, 1, 1, 1, 2, 3, 4, 5, 6}).Draw(t, "kind"), rapid.IntRange(0, 11).Draw(t, "key"))
		}
		for range rapid.IntRange(0, 30).Draw(t, "events before") {
			publish()
		}
		w.advanceAll()
		w.swap = uint64(rapid.IntRange(0, 80).Draw(t, "change of policy") + len(w.messages))
		margin := rapid.SampledFrom([]uint64{0, 100}).Draw(t, "margin")
		old := map[int]*state{} // that a failover goes back to
		frozen := [worldPartitions]bool{}
		steps := rapid.IntRange(0, 60).Draw(t, "steps")
		w.before = func(what string, p int) {
			if what == "load" && frozen[p] {
				frozen[p] = false // it has been seen
				return
			}
			if steps--; steps < 0 {
				return
			}
			switch rapid.SampledFrom([]string{"publish", "publish", "fold", "fold", "fold all", "nothing", "remember", "fail over", "trim", "flush"}).Draw(t, what) {
			case "publish":
				for range rapid.IntRange(1, 6).Draw(t, "events") {
					publish()
				}
			case "fold":
				if p := rapid.IntRange(0, worldPartitions-1).Draw(t, "partition"); !frozen[p] {
					w.advance(p, rapid.IntRange(1, 10).Draw(t, "sequences"))
				}
			case "fold all":
				if frozen == [worldPartitions]bool{} {
					w.advanceAll()
				}
			case "remember":
				p := rapid.IntRange(0, worldPartitions-1).Draw(t, "partition")
				old[p] = w.parts[p].clone()
			case "fail over":
				p := rapid.IntRange(0, worldPartitions-1).Draw(t, "partition")
				if s := old[p]; s != nil && s.position.Sequence+1 >= w.first {
					w.parts[p] = s.clone()
					frozen[p] = margin == 0 || rapid.Bool().Draw(t, "seen")
				}
			case "trim":
				first := uint64(len(w.messages))
				for _, s := range w.parts {
					first = min(first, s.position.Sequence)
				}
				if old = map[int]*state{}; first > w.first && rapid.IntRange(0, 3).Draw(t, "really") == 0 {
					w.first = first
				}
			case "flush":
				if w.first == 1 && rapid.IntRange(0, 5).Draw(t, "really") == 0 {
					w.flush()
					frozen = [worldPartitions]bool{true, true, true}
				}
			}
		}
		source := w.source()
		source.bounds.margin = margin
		source.bounds.keys = rapid.IntRange(1, 5).Draw(t, "keys at hand")
		source.bounds.late = rapid.IntRange(0, 12).Draw(t, "events at hand")
		if rapid.IntRange(0, 4).Draw(t, "without a policy") == 0 {
			source.Policy = nil
		}
		path := filepath.Join(dir, "file")
		info, err := Save(ctx, source, path)
		if err != nil {
			var again *retryError
			if !errors.As(err, &again) && !strings.Contains(err.Error(), "change all the time") {
				t.Fatalf("%v", err)
			}
			_, why, _ := strings.Cut(err.Error(), path+": ")
			failed[strings.Map(func(r rune) rune {
				if r >= '0' && r <= '9' {
					return -1
				}
				return r
			}, why)]++
			return
		}
		saved++
		if steps > 0 {
			folded++
		}
		if got := w.check(path); !cmp.Equal(got, info) {
			t.Fatalf("said %+v, is %+v", info, got)
		}
	})
	t.Logf("%d saved, %d of them with changes left to make; failures: %v", saved, folded, failed)
	if saved < 3*len(failed) {
		t.Errorf("%d saved, and %d ways to fail", saved, len(failed))
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestSaveTellsWhyNot(t *testing.T) {
	other := view.Serving{Generation: view.Generation{Number: 5, Partitions: worldPartitions}}
	for _, tt := range []struct {
		name string
		make func(w *world, s *Source)
		want string
	}{
		{"no generation", func(w *world, _ *Source) { w.serving = view.Serving{} }, "the store has no views"},
		{"no positions", func(w *world, _ *Source) { w.flush() }, "partition 0: the store has no views of it"},
		{"refill", func(w *world, _ *Source) { w.parts[1].position.Refill = 1 << 30 }, "partition 1: its views are not whole: they are being filled again"},
		{"restore", func(w *world, _ *Source) { w.parts[1].position.Restoring = "id/3" }, "partition 1: its views are not whole: they are being filled again"},
		{"sealed", func(w *world, _ *Source) { w.parts[2].position.Next = 9 }, "partition 2: generation 9 is taking over"},
		{"stream", func(w *world, _ *Source) { w.created++; w.parts[2].position.Stream++ }, "partition 0: its views are of a stream created 2023-11-14T22:13:20Z, and this one was created 2023-11-14T22:13:20Z"},
		{"codec", func(w *world, _ *Source) { w.parts[2].position.Codec++ }, "partition 2: its views are of codec version 2, and this program's of 1"},
		{"partitions", func(w *world, _ *Source) { w.parts[0].position.Partitions++ }, "partition 0: its views are spread over 4 partitions, and the generation's over 3"},
		{"damaged view", func(w *world, _ *Source) {
			for p := range w.parts {
				for k := range w.parts[p].views {
					w.parts[p].views[k] = []byte{9}
				}
			}
		}, "cannot be read: stored view is damaged or of another codec version: version 9, want 1"},
		{"lost tail", func(w *world, _ *Source) { w.messages = w.messages[:5] }, "and the stream ends at 5: the stream lost its tail"},
		{"stream made anew meanwhile", func(w *world, _ *Source) {
			w.before = func(what string, _ int) {
				if what == "scan" {
					w.created++
				}
			}
		}, "the stream was deleted and made anew meanwhile"},
		{"always busy without a policy", func(w *world, s *Source) {
			s.Policy = nil
			w.before = func(what string, p int) {
				if what == "load" {
					w.publish(0, 1)
					w.advance(p, len(w.messages))
				}
			}
		}, "its views change all the time: only with the configuration at hand can it be saved"},
		{"always busy with another policy", func(w *world, s *Source) {
			s.Policy = func() *fold.Policy { return worldPolicies[1] }
			w.before = func(what string, p int) {
				if what == "load" {
					w.publish(0, 1)
					w.advance(p, len(w.messages))
				}
			}
		}, "its views change all the time, and the configuration at hand is not the one that they are folded with: versions 2 and 1 in sum"},
		{"other generation is empty", func(w *world, _ *Source) {
			w.before = func(what string, _ int) {
				if what == "scan" && w.serving != other {
					w.serving = other
					w.flush()
				}
			}
		}, "partition 0: the store has no views of it"},
		{"trimmed all the time", func(w *world, _ *Source) {
			w.before = func(what string, _ int) {
				if what == "scan" || what == "range" {
					w.publish(0, 1)
					w.publish(1, 2)
					w.advanceAll()
					w.first = uint64(len(w.messages))
				}
			}
		}, "have to be seen"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			for i := range 20 {
				w.publish(i%2, i)
			}
			w.advanceAll()
			s := w.source()
			tt.make(w, &s)
			dir := t.TempDir()
			path := filepath.Join(dir, "file")
			if err := os.WriteFile(path, []byte("the one before"), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Save(t.Context(), s, path)
			if err == nil || !strings.HasPrefix(err.Error(), "snapshot "+path+": ") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
				t.Errorf("left behind: %v, %v", entries, err)
			}
			if text, err := os.ReadFile(path); err != nil || string(text) != "the one before" {
				t.Errorf("the former file: %q, %v", text, err)
			}
		})
	}
}

// A new generation that takes over in the middle is saved from its start.
func TestSaveFollowsARebuild(t *testing.T) {
	w := newWorld(t)
	for i := range 40 {
		w.publish(i%5, i)
	}
	w.advanceAll()
	next := view.Generation{Number: 5, Partitions: worldPartitions}
	sealed := false
	w.before = func(what string, p int) {
		switch {
		case what == "scan" && !sealed:
			sealed = true
			w.parts[1].position.Next = 5
		case what == "serving" && sealed:
			w.serving = view.Serving{Generation: next, Previous: worldGeneration}
			w.parts[1].position.Next = 0 // the new one's
		}
	}
	path := filepath.Join(t.TempDir(), "file")
	info, err := Save(t.Context(), w.source(), path)
	if err != nil {
		t.Fatal(err)
	}
	w.check(path)
	if info.Generation != 5 {
		t.Errorf("generation %d, want 5", info.Generation)
	}
}

// A partition that goes back is started again, and no other.
func TestSaveStartsOnePartitionAgain(t *testing.T) {
	w := newWorld(t)
	for i := range 40 {
		w.publish(i%2, i)
	}
	w.advanceAll()
	old := w.parts[1].clone()
	w.publish(0, 1)
	w.advanceAll()
	scans, looks := 0, map[int]int{}
	w.before = func(what string, p int) {
		switch what {
		case "serving":
			scans++
			looks = map[int]int{}
		case "load":
			if looks[p]++; scans == 1 && p == 1 && looks[1] == 3 {
				w.parts[1] = old
			}
		}
	}
	path := filepath.Join(t.TempDir(), "file")
	if _, err := Save(t.Context(), w.source(), path); err != nil {
		t.Fatal(err)
	}
	if w.check(path); scans != 2 || len(looks) != 1 {
		t.Errorf("%d attempts, the last one at the partitions %v", scans, looks)
	}
}

// What is kept in memory does not grow with the number of views, and views with many copies
// are written once.
func TestSaveInPasses(t *testing.T) {
	w := newWorld(t)
	for i := range 3000 {
		w.publish(i%2, i%700)
	}
	w.portion = 100
	w.advanceAll()
	s := w.source()
	s.bounds.keys = 50
	path := filepath.Join(t.TempDir(), "file")
	info, err := Save(t.Context(), s, path)
	if err != nil {
		t.Fatal(err)
	}
	w.check(path)
	if info.Views != 700 {
		t.Errorf("%d views, want 700", info.Views)
	}
}
