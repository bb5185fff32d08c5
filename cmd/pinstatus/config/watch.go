package config

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/cmd/pinstatus/filewatch"
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

	Settle, Poll time.Duration // as of filewatch.Options
}

func (o *WatchOptions) validate() error {
	if o.OnChange == nil {
		return errors.New("config.WatchOptions: OnChange is required")
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	return nil
}

// Watch reloads the file that running was loaded from, and the key sets that it names,
// whenever they change, and hands what is new to OnChange until ctx ends. A file with a
// problem, or that may not follow the running one (see Successor), or that OnChange does
// not take, is logged and counted and leaves the running configuration as it is.
//
// The error is about the options or the registry; where the system cannot notify, Watch
// logs that and polls.
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
	w := &watcher{WatchOptions: o, metrics: m, running: running, sources: running.sources}
	m.successful.Set(1)
	m.success.SetToCurrentTime()
	return filewatch.Watch(ctx, filewatch.Options{
		Files:  func() []string { return w.sources },
		Look:   w.reload,
		Reload: o.Reload, Log: o.Logger, Settle: o.Settle, Poll: o.Poll,
	})
}

type watcher struct {
	WatchOptions
	*metrics
	running *Config
	sources []string // the files that were last read
	seen    [32]byte // digest of the files that were last refused
}

// reload reads the files, and applies what they say if it is new and right. Unless it was
// asked for, files that are as they were when they were last read are passed over.
func (w *watcher) reload(asked bool) {
	next, err := w.read()
	if next != nil {
		w.sources = next.sources
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
