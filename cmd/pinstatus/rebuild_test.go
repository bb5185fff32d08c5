package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
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

// Another number of partitions has to be asked for: neither the stream's nor a variable that
// other commands take makes a rebuild for a policy one of these.
func TestRebuildKeepsThePartitions(t *testing.T) {
	r, flags := viewsAtRest(t)
	t.Setenv("PINSTATUS_PARTITIONS", "8")
	rebuild := func(want view.Generation, args ...string) (code int, errOut string) {
		t.Helper()
		code, out, errOut := command(t, slices.Concat([]string{"rebuild", "--grace", "10ms"}, args, flags)...)
		if got := r.Serving().Generation; got != want {
			t.Errorf("%v: generation %+v serves, want %+v; %s%s", args, got, want, out, errOut)
		}
		return code, errOut
	}
	if code, errOut := rebuild(view.Generation{Number: 2, Partitions: 4}); code != 0 {
		t.Errorf("exit status %d, %s", code, errOut)
	}
	if code, errOut := rebuild(view.Generation{Number: 3, Partitions: 8}, "--partitions", "8"); code != 0 {
		t.Errorf("exit status %d, %s", code, errOut)
	}
	// The stream has the former number still.
	if code, errOut := rebuild(view.Generation{Number: 3, Partitions: 8}); code != 1 || !strings.Contains(errOut, "spread over 4 partitions and the views over 8") {
		t.Errorf("exit status %d, %s; want 1, as it is not said which it is to be", code, errOut)
	}
	if err := consumer.Apply(t.Context(), r.JS, consumer.Streams{Partitions: 8, Force: true}); err != nil {
		t.Fatal(err)
	}
	if code, errOut := rebuild(view.Generation{Number: 4, Partitions: 8}); code != 0 {
		t.Errorf("exit status %d, %s", code, errOut)
	}
}

// trigger is pulled once a text is written.
type trigger struct {
	bytes.Buffer
	on   string
	pull func()
}

func (w *trigger) Write(b []byte) (int, error) {
	n, err := w.Buffer.Write(b)
	if strings.Contains(string(b), w.on) {
		w.pull()
	}
	return n, err
}

// An interruption while the old views are waiting to be dropped says what is left to do. It is
// not what an earlier one leaves: the new views serve, and nothing can be given up any more.
func TestRebuildInterruptedInItsGrace(t *testing.T) {
	r, flags := viewsAtRest(t)
	interrupted := func(args ...string) (out, told string) {
		t.Helper()
		ctx, interrupt := context.WithCancel(t.Context())
		defer interrupt()
		cmd, o := newRebuild(), &trigger{on: "in 1h0m0s", pull: interrupt}
		cmd.SetOut(o)
		cmd.SetErr(io.Discard)
		cmd.SetArgs(slices.Concat(flags, args))
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		err := cmd.ExecuteContext(ctx)
		if err == nil {
			t.Fatalf("it was not interrupted: %s", o.String())
		}
		return o.String(), err.Error()
	}
	out, got := interrupted("--partitions", "8", "--grace", "1h")
	want := `interrupted: generation 2 serves, and generation 1 is there still: "pinstatus rebuild" drops it, and does no more`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, line := range []string{"0 differ", "changed over at ", "pinstatus streams apply --partitions 8 --force"} {
		if !strings.Contains(out, line) {
			t.Errorf("output %q, want %q in it", out, line)
		}
	}
	if strings.Contains(out, "done in") {
		t.Errorf("output %q: it is not done", out)
	}
	if _, got := interrupted("--grace", "1h"); got != want { // once more
		t.Errorf("got  %s\nwant %s", got, want)
	}
	out, got = interrupted("--grace", "1h", "--json")
	if got != "exit status 1" || !strings.Contains(out, `"error":"interrupted: generation 2 serves`) {
		t.Errorf("%s, %s", got, out)
	}
	code, out, errOut := execute(t, newRebuild(), append(flags, "--grace", "0s")...)
	if code != 1 || !strings.Contains(out, "streams apply --partitions 8") || !strings.Contains(out, "done in") ||
		errOut != "pinstatus: what was interrupted is finished, and no views were made anew: if that is wanted, run this again\n" {
		t.Errorf("exit status %d, %q and %q; want 1, and that nothing else was done", code, out, errOut)
	}
	if got := r.Serving(); got.Generation != (view.Generation{Number: 2, Partitions: 8}) || got.Dropping != (view.Generation{}) {
		t.Errorf("%+v serves", got)
	}
}

// Giving up folds nothing, and needs no configuration.
func TestRebuildAbortWithoutConfiguration(t *testing.T) {
	r, flags := viewsAtRest(t)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	cmd := newRebuild()
	cmd.SetOut(&trigger{on: "  fill ", pull: interrupt})
	cmd.SetErr(io.Discard)
	cmd.SetArgs(flags)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	if err := cmd.ExecuteContext(ctx); err == nil || r.Serving().Next.Number != 2 {
		t.Fatalf("%v, %+v; want that it was interrupted", err, r.Serving())
	}
	code, out, errOut := execute(t, newRebuild(), append(flags[:4:4], "--abort")...)
	if code != 0 || !strings.Contains(out, "give up generation 2") {
		t.Errorf("exit status %d, %s%s; want 0", code, out, errOut)
	}
	if code, _, errOut = execute(t, newRebuild(), flags[:4]...); code != 1 || !strings.Contains(errOut, "--config") {
		t.Errorf("exit status %d, %s; want 1, as there is no policy", code, errOut)
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
