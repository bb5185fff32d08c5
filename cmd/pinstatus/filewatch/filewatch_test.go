package filewatch

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func write(tb testing.TB, file, text string) {
	tb.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// What a look finds may name files in other folders: they are watched from then on, and
// looked at again, as they may have changed in between.
func TestFollowsNewFolders(t *testing.T) {
	one, two := filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "two")
	write(t, one, "")
	write(t, two, "")
	files := []string{one}
	looks := make(chan bool, 100)
	reload := make(chan os.Signal)
	add := make(chan string, 1)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- Watch(ctx, Options{
			Files: func() []string { return files },
			Look: func(asked bool) {
				select {
				case f := <-add:
					files = append(files, f)
				default:
				}
				looks <- asked
			},
			Reload: reload, Settle: 10 * time.Millisecond, Poll: time.Hour,
		})
	}()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	looked := func(asked bool) {
		t.Helper()
		for {
			select {
			case got := <-looks:
				if got == asked {
					return
				}
			case <-time.After(30 * time.Second):
				t.Fatalf("no look, asked for: %t", asked)
			}
		}
	}
	reload <- syscall.SIGHUP
	looked(true)
	add <- two
	write(t, one, "changed")
	looked(false)
	for len(add) > 0 { // the look was at what came before
		looked(false)
	}
	reload <- syscall.SIGHUP // answered after the second look
	looked(true)
	write(t, two, "changed")
	looked(false)
}

func TestOptions(t *testing.T) {
	whole := Options{Files: func() []string { return nil }, Look: func(bool) {}}
	for name, change := range map[string]func(*Options){
		"no files":         func(o *Options) { o.Files = nil },
		"nobody who looks": func(o *Options) { o.Look = nil },
		"negative settle":  func(o *Options) { o.Settle = -1 },
		"negative poll":    func(o *Options) { o.Poll = -1 },
	} {
		o := whole
		change(&o)
		if err := Watch(t.Context(), o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
