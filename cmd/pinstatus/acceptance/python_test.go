package acceptance

import (
	"net/http"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// A client that shares no line of code with this project, in another language, with nothing
// but its standard library: whatever this project's own clients have in common, the contract
// is enough to publish.
func TestPublishFromPython(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatalf("%v: this test needs Python 3, and nothing beside it; on Debian `make test` installs it", err)
	}
	onEach(t, newConfig(t), func(t *testing.T, a *api, b *broker) {
		server, err := url.Parse(b.nc.ConnectedUrl())
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), python, "testdata/publish.py", server.Hostname(), server.Port()).CombinedOutput()
		if err != nil {
			t.Fatalf("publish.py: %v\n%s", err, out)
		}
		var last uint64
		for line := range strings.Lines(string(out)) {
			if last, err = strconv.ParseUint(strings.TrimSpace(line), 10, 64); err != nil {
				t.Fatalf("publish.py printed %q, want the sequence of each acknowledgement", out)
			}
		}
		if held := b.stream(eventStream); last != 6 || len(held) != 6 {
			t.Errorf("the last acknowledged is %d, and the stream holds %d, want 6", last, len(held))
		}
		becomes(t, "dialect 1", func() (answer, error) { return a.delivery(t.Context(), "acme", "py.1") }, http.StatusOK,
			"["+entryText("MESSAGE_DELIVERED", "Message sent and delivered", true)+
				","+entryText("PROCESSED", "Request is successfully processed and answered by human.", true)+"]")
		becomes(t, "dialect 2", func() (answer, error) { return a.pins(t.Context(), "acme", "zoë") }, http.StatusOK,
			`{"totalRecords":2,"resourceSet":[`+
				`{"pinType":"Parental","status":"SET","extendedStatus":"MANDATORY","lockTimeRemaining":0},`+
				`{"pinType":"Purchase","status":"UNSET","extendedStatus":"OPTIONAL","lockTimeRemaining":0}]}`)
		becomes(t, "dialect 3", func() (answer, error) { return a.userPIN(t.Context(), "acme", "zoë", 60) }, http.StatusOK, "")
		if letters := b.stream(deadLetterStream); len(letters) != 0 {
			t.Errorf("%d dead letters, the first because of %v", len(letters), letters[0].header)
		}
	})
}
