package config

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// WatchOptions say how a configuration is kept up to date.
type WatchOptions struct {
	// OnChange puts a new configuration to work, all of it or, where it returns an error,
	// nothing. It is called by one goroutine.
	OnChange func(*Config) error

	// Reload asks for a reload now, whether or not a file changed: the process' SIGHUP.
	Reload <-chan os.Signal

	Logger     *zap.Logger           // nothing is logged without it
	Registerer prometheus.Registerer // a registry of its own if nil

	// Settle is how long the files' folders must be quiet before the files are read, as
	// editors and deployments write in several steps. 100ms if zero.
	Settle time.Duration

	// Poll is how often the files are compared whatever was notified: network file systems
	// do not notify, and a busy folder is never quiet. One minute if zero.
	Poll time.Duration
}

func (o *WatchOptions) validate() error {
	if o.OnChange == nil {
		return errors.New("config.WatchOptions: OnChange is required")
	}
	if o.Settle < 0 || o.Poll < 0 {
		return errors.New("config.WatchOptions: Settle and Poll must not be negative")
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	if o.Settle == 0 {
		o.Settle = 100 * time.Millisecond
	}
	if o.Poll == 0 {
		o.Poll = time.Minute
	}
	return nil
}

// Watch reloads the file that running was loaded from, and the key sets that it names,
// whenever they change, and hands what is new to OnChange until ctx ends. A file with a
// problem, or that may not follow the running one (see Successor), or that OnChange does
// not take, is logged and counted and leaves the running configuration as it is.
//
// It watches folders and not files, so that a file that is replaced by a rename, or by a
// switched symbolic link as in Kubernetes, is followed. The error is about the options or
// the registry; where the system cannot notify, Watch logs that and polls.
func Watch(ctx context.Context, running *Config, o WatchOptions) error {
	if err := o.validate(); err != nil {
		return err
	}
	if running.file == "" {
		return errors.New("config.Watch: the running configuration was not read from a file")
	}
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return fmt.Errorf("config.Watch: %w", err)
	}
	w := &watcher{WatchOptions: o, metrics: m, running: running}
	m.successful.Set(1)
	m.success.SetToCurrentTime()

	var notified chan fsnotify.Event
	var faults chan error
	if w.notify, err = fsnotify.NewWatcher(); err != nil {
		o.Logger.Warn("no notice of file changes: the configuration is polled", zap.Error(err), zap.Duration("interval", o.Poll))
	} else {
		defer w.notify.Close()
		notified, faults = w.notify.Events, w.notify.Errors
	}
	w.follow(running)
	w.run(ctx, notified, faults)
	return nil
}

type watcher struct {
	WatchOptions
	*metrics
	notify  *fsnotify.Watcher // nil if the system cannot notify
	running *Config
	seen    [32]byte // digest of the files that were last refused
}

func (w *watcher) run(ctx context.Context, notified <-chan fsnotify.Event, faults <-chan error) {
	poll := time.NewTicker(w.Poll)
	defer poll.Stop()
	settled := time.NewTimer(w.Settle)
	defer settled.Stop()
	w.reload(false) // the files may have changed since they were loaded
	for {
		select {
		case <-ctx.Done():
			return
		case <-notified:
			settled.Reset(w.Settle)
		case err := <-faults:
			// Notices were lost, perhaps of our files.
			w.Logger.Warn("notices of file changes were lost", zap.Error(err))
			settled.Reset(w.Settle)
		case <-settled.C:
			w.reload(false)
		case <-poll.C:
			w.reload(false)
		case _, ok := <-w.Reload:
			if !ok {
				w.Reload = nil
				continue
			}
			w.reload(true)
		}
	}
}

// reload reads the files, and applies what they say if it is new and right. Unless it was
// asked for, files that are as they were when they were last read are passed over.
func (w *watcher) reload(asked bool) {
	next, err := w.read()
	if next != nil {
		w.follow(next)
		if next.digest == w.running.digest && err == nil {
			if asked || w.seen != [32]byte{} {
				w.took(w.unchanged, "configuration reloaded: unchanged")
			}
			return
		}
		if !asked && next.digest == w.seen {
			return
		}
		w.seen = next.digest
	}
	if err == nil {
		err = w.running.Successor(next)
	}
	if err == nil {
		err = w.OnChange(next)
	}
	if err != nil {
		w.refused.Inc()
		w.successful.Set(0)
		w.Logger.Error("configuration refused, the old one stays", zap.String("file", w.running.file), zap.Strings("problems", lines(err)))
		return
	}
	w.running = next
	w.took(w.applied, "configuration reloaded")
}

// took notes that the files, as they are, are what is running.
func (w *watcher) took(result prometheus.Counter, message string) {
	result.Inc()
	w.successful.Set(1)
	w.success.SetToCurrentTime()
	w.seen = [32]byte{}
	w.Logger.Info(message, zap.String("file", w.running.file),
		zap.Int("tenants", len(w.running.tenants)), zap.Uint64("policyVersion", w.running.Policy().Version))
}

// read is Load that returns the configuration together with its problems, for its digest
// and its files. It is nil if there is no file to read.
func (w *watcher) read() (*Config, error) {
	text, err := readFile(w.running.file, maxFile)
	if err != nil {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	c, p := parse(w.running.file, text)
	return c, p.err()
}

// follow watches the folders of the configuration's files, and those of the files that
// they are links to, and no others.
func (w *watcher) follow(c *Config) {
	if w.notify == nil {
		return
	}
	wanted := map[string]bool{}
	for _, file := range c.sources {
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
			w.Logger.Warn("no notice of changes in a folder: it is polled", zap.String("folder", folder), zap.Error(err), zap.Duration("interval", w.Poll))
		}
	}
}

// lines are the errors that err joins.
func lines(err error) []string {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []string{err.Error()}
	}
	var all []string
	for _, e := range joined.Unwrap() {
		all = append(all, e.Error())
	}
	return all
}
