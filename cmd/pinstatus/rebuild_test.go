package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/pinstatus/pinstatus/cmd/pinstatus/config"
	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector/audit"
	"github.com/pinstatus/pinstatus/projector/rig"
	"github.com/pinstatus/pinstatus/projector/snapshot"
	"github.com/pinstatus/pinstatus/projector/view"
)

const rigConfig = `tenants:
  - id: acme
    pinTypes:
      - {name: Parental, maxAttempts: 3, lockDurations: [20s, 1h]}
      - {name: Purchase, maxAttempts: 5, lockDurations: [1m]}
`

// viewsAtRest are views that a projector with rigConfig has made, and the flags of a command
// that works on them.
func viewsAtRest(t *testing.T) (r *rig.Rig, flags []string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pinstatus.yaml")
	if err := os.WriteFile(file, []byte(rigConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	r = rig.New(t, 4)
	r.Project("one", c.Policy())
	r.Traffic.Publish(1000)
	r.Settle()
	return r, []string{"--nats-url", r.NC.ConnectedUrl(), "--redis-url", r.Redis.URL, "--config", file}
}

// execute runs a command and returns its exit status.
func execute(t *testing.T, cmd *cobra.Command, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	cmd.SetOut(&o)
	cmd.SetErr(&e)
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(t.Context())
	var exit exitCode
	switch {
	case errors.As(err, &exit):
		code = int(exit)
	case err != nil:
		code = 1
		e.WriteString(tell(err))
	}
	return code, o.String(), e.String()
}

func TestVerify(t *testing.T) {
	r, flags := viewsAtRest(t)
	code, out, errOut := execute(t, newVerify(), flags...)
	if code != 0 || !strings.Contains(out, "all equal") || !strings.Contains(errOut, "nothing is changed") {
		t.Fatalf("exit status %d, output %q, %q; want 0 and all equal", code, out, errOut)
	}
	keys := view.NewKeyspace("", 1, 4)
	var lost view.Key
	for _, k := range rig.Keys() {
		if n, err := r.Client.Del(t.Context(), keys.View(k.Partition(4), k)).Result(); err == nil && n == 1 {
			lost = k
			break
		}
	}
	code, out, _ = execute(t, newVerify(), flags...)
	if code != exitDifferent || !strings.Contains(out, lost.ID+" of tenant acme") || !strings.Contains(out, "1 differ") {
		t.Errorf("exit status %d, output %q; want 1 and the lost view", code, out)
	}
	code, out, _ = execute(t, newVerify(), append(flags, "--json")...)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var d audit.Difference
	var report audit.Report
	if code != exitDifferent || len(lines) != 2 || json.Unmarshal([]byte(lines[0]), &d) != nil || json.Unmarshal([]byte(lines[1]), &report) != nil {
		t.Fatalf("exit status %d, output %q; want 1, a difference and a report", code, out)
	}
	if d.ID != lost.ID || report.Differences != 1 {
		t.Errorf("difference %+v, report %+v, want the lost view", d, report)
	}
	r.Redis.Do("DEL", keys.Position(0), keys.Position(1), keys.Position(2), keys.Position(3))
	r.Redis.Do("DEL", view.GenerationKey(""))
	if code, _, errOut = execute(t, newVerify(), append(flags, "--redis-prefix", "another:")...); code != exitCannotTell || !strings.Contains(errOut, "no generation") {
		t.Errorf("exit status %d, %q; want 2, as nothing serves there", code, errOut)
	}
	if code, _, errOut = execute(t, newVerify(), "--redis-url", r.Redis.URL); code != exitCannotTell || !strings.Contains(errOut, "--config") {
		t.Errorf("exit status %d, %q; want 2, as there is no policy", code, errOut)
	}
}

func TestRebuild(t *testing.T) {
	r, flags := viewsAtRest(t)
	code, out, errOut := execute(t, newRebuild(), append(flags, "--partitions", "8", "--grace", "10ms")...)
	if code != 0 {
		t.Fatalf("exit status %d, output %q, %q; want 0", code, out, errOut)
	}
	for _, want := range []string{
		"make generation 2 of 8 partitions", "beside generation 1 of 4 partitions", "  seal ", "0 differ",
		"pinstatus streams apply --partitions 8 --force", "done in",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("output %q, want %q in it", out, want)
		}
	}
	if got := r.Serving().Generation; got != (view.Generation{Number: 2, Partitions: 8}) {
		t.Errorf("generation %+v serves, want the second", got)
	}
	code, out, errOut = execute(t, newRebuild(), append(flags, "--abort")...)
	if code != 1 || out != "" || !strings.Contains(errOut, "no rebuild is under way") {
		t.Errorf("exit status %d, output %q, %q; want 1, as there is nothing to abort", code, out, errOut)
	}
	code, out, _ = execute(t, newRebuild(), append(flags, "--partitions", "4", "--grace", "10ms", "--json")...)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var last struct {
		OK      bool
		Summary struct{ Changed, Dropped bool }
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || code != 0 || !last.OK || !last.Summary.Changed || !last.Summary.Dropped {
		t.Errorf("exit status %d, output %q, %v; want 0 and a summary", code, out, err)
	}
}

// What happens on the way is told, as why a snapshot was passed over.
func TestRebuildTellsWarnings(t *testing.T) {
	r, flags := viewsAtRest(t)
	stream, err := r.JS.Stream(t.Context(), consumer.EventStream)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "rubbish"+snapshot.Extension), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errOut := execute(t, newRebuild(), append(flags, "--snapshot-dir", dir)...)
	if code != 1 || !strings.Contains(errOut, "rubbish"+snapshot.Extension) {
		t.Errorf("exit status %d, output %q, %q; want 1, and that the snapshot is none", code, out, errOut)
	}
}

// Two processes of one host and one number, as in containers, are two owners of leases.
func TestOwnersDiffer(t *testing.T) {
	if one, other := ownerID(), ownerID(); one == other {
		t.Errorf("two owners are called %s", one)
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]int64{"1000": 1000, "64KiB": 64 << 10, "256 MiB": 256 << 20, "1GiB": 1 << 30} {
		var s size
		if err := s.Set(text); err != nil || int64(s) != want {
			t.Errorf("%q is %d, %v; want %d", text, s, err, want)
		}
	}
	for _, text := range []string{"", "0", "-1", "1MB", "9999999999GiB", "many"} {
		var s size
		if err := s.Set(text); err == nil {
			t.Errorf("%q is %d, want an error", text, s)
		}
	}
	if s := size(256 << 20); s.String() != "256MiB" {
		t.Errorf("size %s, want 256MiB", s.String())
	}
}
