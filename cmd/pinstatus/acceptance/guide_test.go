package acceptance

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/consumer/natstest/child"
)

// What a process without configuration prints can be pasted into a shell: the credentials that
// are set there serve the commands behind them.
func TestDemoGuide(t *testing.T) {
	t.Parallel()
	p := launch(t, "serve", "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--nats-addr", "127.0.0.1:0",
		"--data-dir", t.TempDir(), "--log-format", "json")
	p.await()
	p.ready()
	var script []string
	eventually(t, "the guide is printed", func() error {
		guide, rest, whole := strings.Cut(p.Stdout.String(), "\nHas alice a Parental PIN?")
		if !whole {
			return errors.New("there is:\n" + guide + rest)
		}
		script = regexp.MustCompile(`(?m)^((export )?[A-Z_]+=|pinstatus |for ).*$`).FindAllString(guide, -1)
		return nil
	})
	text := strings.Join(script, "\n") + "\n"
	// Who pastes takes longer than the projector.
	text = strings.Replace(text, "get pin 2B67", "get pin 2B67 --min-sequence 1 --wait 60s", 1)
	text = strings.Replace(text, "get account alice", "get account alice --min-sequence 5 --wait 60s", 1)
	cmd := exec.CommandContext(t.Context(), "sh", "-e")
	cmd.Env = append(environment(), "PATH="+filepath.Dir(binary)+string(os.PathListSeparator)+os.Getenv("PATH"))
	cmd.Stdin = strings.NewReader(text)
	shell, err := child.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	<-shell.Done
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("exit code %d:\n%s\nof\n%s", code, shell.Stderr.String(), text)
	}
	got := regexp.MustCompile(`(?m)^pinstatus\..*\n`).ReplaceAllString(shell.Stdout.String(), "") // what was published
	got = regexp.MustCompile(`\d{4}-\d\d-\d\dT\S+Z`).ReplaceAllString(got, "<time>")
	got = regexp.MustCompile(`LOCKED  \d+s +`).ReplaceAllString(got, "LOCKED  20s         ")
	want := `PIN   CHANNEL  ID  STATUS             DESCRIPTION                 FINAL  CHANGED
2B67  sms      1   MESSAGE_DELIVERED  Message sent and delivered  yes    <time>
ACCOUNT  TYPE      MANDATORY  STATUS  LOCKED FOR  FAILED  LEFT  LOCKS  CHANGED
alice    Parental  yes        LOCKED  20s         0       3     1      <time>
alice    Purchase  no         SET     -           0       5     0      <time>
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the shell printed (-want +got):\n%s\nof\n%s", diff, text)
	}
}
