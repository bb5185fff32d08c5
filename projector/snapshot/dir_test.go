package snapshot

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pinstatus/pinstatus/consumer"
)

// shelf is a folder of snapshots of a world, each a minute younger than the one before.
type shelf struct {
	*Dir
	t    *testing.T
	w    *world
	now  time.Time
	logs *observer.ObservedLogs
}

func newShelf(t *testing.T) *shelf {
	core, logs := observer.New(zap.InfoLevel)
	w := newWorld(t)
	for i := range 40 {
		w.publish(i%2, i%30)
	}
	w.advanceAll()
	return &shelf{Dir: NewDir(filepath.Join(t.TempDir(), "snapshots"), zap.New(core)), t: t, w: w, now: time.Unix(0, testStart), logs: logs}
}

func (s *shelf) save(keep int) string {
	s.t.Helper()
	source := s.w.source()
	source.Now = func() time.Time { return s.now }
	info, err := s.Save(s.t.Context(), source, keep)
	if err != nil {
		s.t.Fatal(err)
	}
	s.now = s.now.Add(time.Minute)
	return filepath.Base(info.Path)
}

// found is the name of the file that is found, empty if none is.
func (s *shelf) found(stream consumer.Stream) string {
	s.t.Helper()
	f, err := s.Find(s.t.Context(), stream, worldPartitions)
	if err != nil {
		s.t.Fatal(err)
	}
	if f == nil {
		return ""
	}
	if err := f.Close(); err != nil {
		s.t.Fatal(err)
	}
	file, ok := f.(*File)
	if !ok {
		s.t.Fatalf("found a %T", f)
	}
	return filepath.Base(file.path)
}

func (s *shelf) files() []string {
	s.t.Helper()
	entries, err := os.ReadDir(s.path)
	if err != nil {
		s.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestFindTheNewestThatFits(t *testing.T) {
	s := newShelf(t)
	if got := s.found(s.w.stream()); got != "" {
		t.Errorf("found %s in a folder that does not exist", got)
	}
	first := s.save(9)
	s.w.publish(0, 1)
	s.w.advanceAll()
	second := s.save(9)
	if got := s.found(s.w.stream()); got != second {
		t.Errorf("found %s, want the newest, %s", got, second)
	}
	newest := filepath.Join(s.path, "the same time, last name"+Extension)
	data, err := os.ReadFile(filepath.Join(s.path, second))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(newest, data[:len(data)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"notes.txt", ".hidden" + Extension} {
		if err := os.WriteFile(filepath.Join(s.path, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(s.path, "folder"+Extension), 0o700); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got := s.found(s.w.stream()); got != second {
			t.Errorf("found %s beside a damaged one, want %s", got, second)
		}
	}
	if got := s.logs.TakeAll(); len(got) != 1 || !strings.Contains(fmt.Sprint(got[0].ContextMap()["error"]), "cut off") || got[0].ContextMap()["file"] != newest {
		t.Errorf("logged %+v, want the damaged file once", got)
	}
	// A file is read anew once it has changed.
	if err := os.WriteFile(newest, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := s.found(s.w.stream()); got != filepath.Base(newest) {
		t.Errorf("found %s, want the mended one", got)
	}
	if err := os.Remove(newest); err != nil {
		t.Fatal(err)
	}

	stream := s.w.stream()
	stream.LastSequence = 40
	if got := s.found(stream); got != first {
		t.Errorf("found %s for a stream that has lost its tail, want %s", got, first)
	}
	s.logs.TakeAll()
	stream = s.w.stream()
	stream.First, stream.Trimmed, stream.Missing = 42, true, 41
	if got := s.found(stream); got != second {
		t.Errorf("found %s for a stream that begins at 42, want %s", got, second)
	}
	stream.First, stream.Missing = 43, 42
	if got := s.found(stream); got != "" {
		t.Errorf("found %s for a stream that begins at 43", got)
	}
	if got := s.logs.TakeAll(); len(got) != 2 {
		t.Errorf("logged %+v, want both files", got)
	}
	stream.First, stream.Trimmed = 43, false // nothing is missing but what erasures removed
	if got := s.found(stream); got != second {
		t.Errorf("found %s for a stream from which everything was erased, want %s", got, second)
	}
	stream = s.w.stream()
	stream.Missing, stream.Trimmed = 1, true
	if got := s.found(stream); got != "" {
		t.Errorf("found %s for a stream with a hole in its middle", got)
	}
	if got := s.logs.TakeAll(); len(got) != 2 || !strings.Contains(fmt.Sprint(got[0].ContextMap()["error"]), "streams apply --accept-deletions") {
		t.Errorf("logged %+v, want the way out", got)
	}
}

func TestFitAsksForTheWitness(t *testing.T) {
	s := newShelf(t)
	name := s.save(1)
	if got := s.found(s.w.stream()); got != name {
		t.Fatalf("found %q", got)
	}
	for i := range s.w.messages {
		s.w.messages[i].Received++
	}
	if got := s.found(s.w.stream()); got != "" {
		t.Errorf("found %s for a stream that uses sequences again", got)
	}
	stream := s.w.stream()
	stream.Received = nil
	if got := s.found(stream); got != name {
		t.Errorf("found %q without a way to ask", got)
	}
}

func TestOldFilesAreRemoved(t *testing.T) {
	s := newShelf(t)
	first := s.save(2)
	for _, name := range []string{"by hand" + Extension, "pinstatus-first" + Extension} {
		if err := os.Link(filepath.Join(s.path, first), filepath.Join(s.path, name)); err != nil {
			t.Fatal(err)
		}
	}
	second := s.save(2)
	third := s.save(2)
	want := []string{"by hand" + Extension, second, third, "pinstatus-first" + Extension}
	if d := cmp.Diff(want, s.files()); d != "" {
		t.Errorf("files (-want +got):\n%s", d)
	}
	fourth := s.save(0)
	if d := cmp.Diff([]string{"by hand" + Extension, fourth, "pinstatus-first" + Extension}, s.files()); d != "" {
		t.Errorf("files that are left by keeping none but the newest (-want +got):\n%s", d)
	}
}

func TestTidy(t *testing.T) {
	s := newShelf(t)
	s.save(1)
	old, fresh, busy := filepath.Join(s.path, tempPrefix+"1"), filepath.Join(s.path, tempPrefix+"2"), filepath.Join(s.path, tempPrefix+"3")
	for _, folder := range []string{old, fresh, busy} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "copies"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	past := time.Now().Add(-2 * abandoned)
	for _, path := range []string{old, filepath.Join(old, "copies"), busy} {
		if err := os.Chtimes(path, past, past); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.tidy(); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{old: false, fresh: true, busy: true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s: %v", filepath.Base(path), err)
		}
	}
	if err := NewDir(filepath.Join(t.TempDir(), "none"), zap.NewNop()).tidy(); err != nil {
		t.Errorf("a folder that does not exist: %v", err)
	}
}
