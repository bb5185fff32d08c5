// Package filewatch tells when files may have changed.
//
// It watches folders and not files, so that a file that is replaced by a rename, or by a
// switched symbolic link as in Kubernetes, is followed.
package filewatch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"
)

// Options say what is watched, and who is told.
type Options struct {
	// Files are the files to watch now. It is asked after each Look, which may have found
	// that there are others.
	Files func() []string

	// Look compares the files with what is known of them: at first, whenever they may have
	// changed, and when it is asked for, changed or not. It is called by one goroutine.
	Look func(asked bool)

	// Reload asks for a look: the process' SIGHUP.
	Reload <-chan os.Signal

	Log *zap.Logger // nothing is logged without it

	// Settle is how long the files' folders must be quiet before a look, as editors and
	// deployments write in several steps. 100ms if zero.
	Settle time.Duration

	// Poll is how often a look is taken whatever was notified: network file systems do not
	// notify, and a busy folder is never quiet. One minute if zero.
	Poll time.Duration
}

func (o *Options) validate() error {
	switch {
	case o.Files == nil || o.Look == nil:
		return errors.New("filewatch.Options: Files and Look are required")
	case o.Settle < 0 || o.Poll < 0:
		return errors.New("filewatch.Options: Settle and Poll must not be negative")
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Settle == 0 {
		o.Settle = 100 * time.Millisecond
	}
	if o.Poll == 0 {
		o.Poll = time.Minute
	}
	return nil
}

// Watch watches until ctx ends. The error is about the options; where the system cannot
// notify, Watch logs that and polls.
func Watch(ctx context.Context, o Options) error {
	if err := o.validate(); err != nil {
		return err
	}
	w := &watcher{Options: o}
	var notified chan fsnotify.Event
	var faults chan error
	var err error
	if w.notify, err = fsnotify.NewWatcher(); err != nil {
		o.Log.Warn("no notice of file changes: files are polled", zap.Error(err), zap.Duration("interval", o.Poll))
	} else {
		defer w.notify.Close()
		notified, faults = w.notify.Events, w.notify.Errors
	}
	w.run(ctx, notified, faults)
	return nil
}

type watcher struct {
	Options
	notify *fsnotify.Watcher // nil if the system cannot notify
}

func (w *watcher) run(ctx context.Context, notified <-chan fsnotify.Event, faults <-chan error) {
	poll := time.NewTicker(w.Poll)
	defer poll.Stop()
	settled := time.NewTimer(w.Settle)
	defer settled.Stop()
	w.follow()
	w.look(false) // the files may have changed since they were read
	for {
		select {
		case <-ctx.Done():
			return
		case <-notified:
			settled.Reset(w.Settle)
		case err := <-faults:
			// Notices were lost, perhaps of our files.
			w.Log.Warn("notices of file changes were lost", zap.Error(err))
			settled.Reset(w.Settle)
		case <-settled.C:
			w.look(false)
		case <-poll.C:
			w.look(false)
		case _, ok := <-w.Reload:
			if !ok {
				w.Reload = nil
				continue
			}
			w.look(true)
		}
	}
}

// look looks, and again where that brought up folders that nobody watched meanwhile.
func (w *watcher) look(asked bool) {
	w.Look(asked)
	if w.follow() {
		w.Look(false)
	}
}

// follow watches the folders of the files, and those of the files that they are links to,
// and no others. It reports whether there are new ones.
func (w *watcher) follow() (more bool) {
	if w.notify == nil {
		return false
	}
	wanted := map[string]bool{}
	for _, file := range w.Files() {
		wanted[filepath.Dir(file)] = true
		if target, err := filepath.EvalSymlinks(file); err == nil {
			wanted[filepath.Dir(target)] = true
		}
	}
	for _, folder := range w.notify.WatchList() {
		if !wanted[folder] {
			_ = w.notify.Remove(folder) // it may have gone by itself
		}
		delete(wanted, folder)
	}
	for folder := range wanted {
		if err := w.notify.Add(folder); err != nil {
			w.Log.Warn("no notice of changes in a folder: it is polled", zap.String("folder", folder), zap.Error(err), zap.Duration("interval", w.Poll))
			continue
		}
		more = true
	}
	return more
}
