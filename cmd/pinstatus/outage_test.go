package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"
)

// outage is where a command tells people what it does: Redis is stopped once it says what it is
// about to do, and started again once it says that it waits.
type outage struct {
	mu         sync.Mutex
	text       bytes.Buffer
	on         string
	stop, back func()
}

func (o *outage) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.text.Write(b)
	if strings.Contains(string(b), o.on) {
		o.stop()
	}
	if strings.Contains(string(b), "trying again") {
		o.back()
	}
	return n, err
}

// Commands that take long outlive a Redis that is restarted meanwhile, and say so.
func TestRedisIsAwayForAMoment(t *testing.T) {
	for name, tt := range map[string]struct {
		cmd  func() *cobra.Command
		on   string
		args []string
		want string
	}{
		"rebuild":       {newRebuild, "  fill ", []string{"--grace", "10ms"}, "done in"},
		"verify":        {newVerify, "nothing is changed", nil, "all equal"},
		"snapshot save": {newSnapshotSave, "saving all views", []string{filepath.Join(t.TempDir(), "file")}, "views of 4 partitions"},
	} {
		t.Run(name, func(t *testing.T) {
			r, flags := viewsAtRest(t)
			o := &outage{
				on:   tt.on,
				stop: sync.OnceFunc(func() { r.Redis.Do("SAVE"); r.Redis.Stop() }),
				back: sync.OnceFunc(r.Redis.Restart),
			}
			cmd := tt.cmd()
			cmd.SetOut(o)
			cmd.SetErr(o)
			cmd.SetArgs(append(flags, tt.args...))
			cmd.SilenceErrors, cmd.SilenceUsage = true, true
			err := cmd.ExecuteContext(t.Context())
			got := o.text.String()
			if err != nil || !strings.Contains(got, "trying again") || !strings.Contains(got, tt.want) {
				t.Errorf("%v, output %q; want %q, after a wait", err, got, tt.want)
			}
		})
	}
}
