package config

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	first  = "tenants: [{id: a, pinTypes: [{name: X}]}]\n"
	second = "tenants: [{id: a, policyVersion: 2, pinTypes: [{name: X, maxAttempts: 9}]}]\n"
	third  = "tenants: [{id: a, policyVersion: 3, pinTypes: [{name: X, maxAttempts: 8}]}]\n"
)

// watched is a running Watch.
type watched struct {
	testing.TB
	file    string
	changes chan *Config
	refuse  atomic.Bool // what is offered next is not taken
	logs    chan zapcore.Entry
	reload  chan os.Signal
	reg     *prometheus.Registry
	stop    func()
}

// watch starts to watch a file. Polling is off unless asked for: then nothing but notices
// and signals can bring a change about.
func watch(tb testing.TB, file string, poll time.Duration) *watched {
	tb.Helper()
	running, err := Load(file)
	if err != nil {
		tb.Fatal(err)
	}
	w := &watched{TB: tb, file: file, changes: make(chan *Config), logs: make(chan zapcore.Entry, 100), reload: make(chan os.Signal), reg: prometheus.NewRegistry()}
	core := zapcore.NewCore(zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig()), zapcore.AddSync(tb.Output()), zap.DebugLevel)
	log := zap.New(core, zap.Hooks(func(e zapcore.Entry) error { w.logs <- e; return nil }))
	ctx, cancel := context.WithCancel(tb.Context())
	done := make(chan error)
	go func() {
		done <- Watch(ctx, running, WatchOptions{
			OnChange:   w.take,
			Reload:     w.reload,
			Logger:     log,
			Registerer: w.reg,
			Settle:     20 * time.Millisecond,
			Poll:       poll,
		})
	}()
	w.stop = func() {
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("watch: %v", err)
		}
	}
	return w
}

// take is OnChange.
func (w *watched) take(c *Config) error {
	if w.refuse.Load() {
		return errors.New("not with me")
	}
	w.changes <- c
	return nil
}

// ready waits until the watch has begun: it takes signals only after it watches folders.
func (w *watched) ready() *watched {
	w.Helper()
	w.reload <- syscall.SIGHUP
	w.logged("unchanged")
	return w
}

func (w *watched) changed(attempts int) {
	w.Helper()
	select {
	case c := <-w.changes:
		if got := c.Policy().Tenants["a"].PINTypes["X"].MaxAttempts; got != attempts {
			w.Fatalf("a configuration with %d attempts, want %d", got, attempts)
		}
	case <-time.After(30 * time.Second):
		w.Fatal("no new configuration")
	}
}

func (w *watched) logged(text string) {
	w.Helper()
	for {
		select {
		case e := <-w.logs:
			if strings.Contains(e.Message, text) {
				return
			}
		case <-w.changes:
			w.Fatalf("a new configuration, want the message %q", text)
		case <-time.After(30 * time.Second):
			w.Fatalf("no message %q", text)
		}
	}
}

// metrics are the values of the watch's metrics, named by result where they have one.
func (w *watched) metrics() map[string]float64 {
	w.Helper()
	families, err := w.reg.Gather()
	if err != nil {
		w.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		name := strings.TrimPrefix(f.GetName(), "pinstatus_config_")
		for _, m := range f.GetMetric() {
			if len(m.GetLabel()) > 0 {
				got[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
			} else {
				got[name] = m.GetGauge().GetValue()
			}
		}
	}
	return got
}

func (w *watched) expect(want map[string]float64) {
	w.Helper()
	got := w.metrics()
	for name, value := range want {
		if got[name] != value {
			w.Errorf("metric %s is %v, want %v", name, got[name], value)
		}
	}
}

// write puts a file in place at once, so that nobody sees half of it.
func write(tb testing.TB, file, text string) {
	tb.Helper()
	writeInPlace(tb, file+"~", text)
	if err := os.Rename(file+"~", file); err != nil {
		tb.Fatal(err)
	}
}

func writeInPlace(tb testing.TB, file, text string) {
	tb.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// mount puts a file in place as Kubernetes mounts one: as a link into a folder that is itself
// a link, to the folder of a version, and is switched.
func mount(tb testing.TB, file, version, text string) {
	tb.Helper()
	dir, name := filepath.Split(file)
	if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
		tb.Fatal(err)
	}
	write(tb, filepath.Join(dir, version, name), text)
	if err := os.Symlink(version, filepath.Join(dir, "..data_tmp")); err != nil {
		tb.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
		tb.Fatal(err)
	}
	if _, err := os.Lstat(file); err == nil {
		return
	}
	if err := os.Symlink(filepath.Join("..data", name), file); err != nil {
		tb.Fatal(err)
	}
}

func TestWatchFollowsChanges(t *testing.T) {
	const never = 24 * time.Hour
	for name, write := range map[string]func(tb testing.TB, file, text string){"written in place": writeInPlace, "renamed over": write} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "pinstatus.yaml")
			write(t, file, first)
			w := watch(t, file, never).ready()
			defer w.stop()
			write(t, file, second)
			w.changed(9)
			write(t, file, third)
			w.changed(8)
		})
	}
	t.Run("mounted config map", func(t *testing.T) {
		dir := t.TempDir()
		file := filepath.Join(dir, "pinstatus.yaml")
		publish := func(version, text string) {
			t.Helper()
			mount(t, file, version, text)
		}
		publish("..1", first)
		w := watch(t, file, never).ready()
		defer w.stop()
		publish("..2", second)
		w.changed(9)
		if err := os.RemoveAll(filepath.Join(dir, "..1")); err != nil {
			t.Fatal(err)
		}
		publish("..3", third)
		w.changed(8)
	})
	t.Run("behind a link to another folder", func(t *testing.T) {
		target := filepath.Join(t.TempDir(), "target.yaml")
		file := filepath.Join(t.TempDir(), "pinstatus.yaml")
		write(t, target, first)
		if err := os.Symlink(target, file); err != nil {
			t.Fatal(err)
		}
		w := watch(t, file, never).ready()
		defer w.stop()
		write(t, target, second)
		w.changed(9)
	})
	t.Run("without notices", func(t *testing.T) {
		// The link's target lies in a folder that is not watched: that of a link between.
		middle := filepath.Join(t.TempDir(), "middle.yaml")
		file := filepath.Join(t.TempDir(), "pinstatus.yaml")
		one := filepath.Join(t.TempDir(), "one.yaml")
		two := filepath.Join(t.TempDir(), "two.yaml")
		write(t, one, first)
		write(t, two, second)
		for link, to := range map[string]string{middle: one, file: middle} {
			if err := os.Symlink(to, link); err != nil {
				t.Fatal(err)
			}
		}
		w := watch(t, file, 50*time.Millisecond).ready()
		defer w.stop()
		if err := os.Remove(middle); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(two, middle); err != nil {
			t.Fatal(err)
		}
		w.changed(9)
	})
	t.Run("changed between load and watch", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "pinstatus.yaml")
		write(t, file, first)
		running, err := Load(file)
		if err != nil {
			t.Fatal(err)
		}
		write(t, file, second)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		var got *Config
		err = Watch(ctx, running, WatchOptions{OnChange: func(c *Config) error { got = c; cancel(); return nil }, Poll: never})
		if err != nil || got == nil {
			t.Errorf("configuration %v, error %v; want the file's", got, err)
		}
	})
}

func TestWatchRefuses(t *testing.T) {
	tests := []struct{ name, text string }{
		{"not YAML", "tenants: [\n"},
		{"a problem", "tenants: []\n"},
		{"a policy without its version", "tenants: [{id: a, pinTypes: [{name: X, maxAttempts: 9}]}]\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "pinstatus.yaml")
			write(t, file, first)
			w := watch(t, file, 24*time.Hour).ready()
			defer w.stop()
			started := w.metrics()["last_reload_success_timestamp_seconds"]
			if now := float64(time.Now().Unix()); started < now-60 || started > now+60 {
				t.Errorf("last successful reload at %v, want about %v", started, now)
			}
			w.expect(map[string]float64{"last_reload_successful": 1})

			write(t, file, tt.text)
			w.logged("refused")
			w.expect(map[string]float64{"last_reload_successful": 0})

			w.reload <- syscall.SIGHUP // asked for, it is refused once more
			w.logged("refused")
			w.expect(map[string]float64{"applied": 0, "refused": 2, "unchanged": 1, "last_reload_success_timestamp_seconds": started})

			write(t, file, second)
			w.changed(9)
			w.logged("configuration reloaded")
			w.expect(map[string]float64{"last_reload_successful": 1, "applied": 1})
		})
	}
}

// What the process cannot work with is not running, whatever the file says: it is offered
// again when it is asked for, and whoever has the older one goes on.
func TestWatchKeepsWhatWasNotTaken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pinstatus.yaml")
	write(t, file, first)
	w := watch(t, file, 24*time.Hour).ready()
	defer w.stop()
	w.refuse.Store(true)
	write(t, file, second)
	w.logged("refused")
	w.expect(map[string]float64{"last_reload_successful": 0, "applied": 0, "refused": 1})

	w.refuse.Store(false)
	go func() { w.reload <- syscall.SIGHUP }()
	w.changed(9)
	w.logged("configuration reloaded")
	w.expect(map[string]float64{"last_reload_successful": 1, "applied": 1})
}

func TestWatchRefusesOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pinstatus.yaml")
	write(t, file, first)
	w := watch(t, file, time.Millisecond).ready()
	defer w.stop()
	write(t, file, "tenants: []\n")
	w.logged("refused")
	for range 3 { // by the time that a signal is taken, polls have come round
		w.reload <- syscall.SIGHUP
		w.logged("refused")
	}
	write(t, file, second)
	w.changed(9)
	w.logged("configuration reloaded")
	// A file that was being written may have been refused as well, but nothing over and over.
	if got := w.metrics()["refused"]; got < 4 || got > 6 {
		t.Errorf("%v refusals, want 4: one of the file and one for each signal", got)
	}
}

func TestWatchMissingFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pinstatus.yaml")
	write(t, file, first)
	w := watch(t, file, 24*time.Hour).ready()
	defer w.stop()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	w.logged("refused")
	write(t, file, second)
	w.changed(9)
}

func TestWatchOptions(t *testing.T) {
	c := mustParse(t, first)
	if err := Watch(t.Context(), c, WatchOptions{}); err == nil {
		t.Error("no error without OnChange")
	}
	if err := Watch(t.Context(), &Config{}, WatchOptions{OnChange: func(*Config) error { return nil }}); err == nil {
		t.Error("no error for a configuration without a file")
	}
}
