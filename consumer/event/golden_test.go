package event_test

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/consumer/event"
)

var update = flag.Bool("update", false, "write the golden file anew: only for a wire version that nobody has used yet")

const goldenV1 = "testdata/v1.golden"

// What v1 looks like on the wire may not change: publishers and stored streams hold it.
func TestGoldenV1Encode(t *testing.T) {
	var got bytes.Buffer
	for _, x := range examples() {
		header, data := x.event.Binary()
		fmt.Fprintf(&got, "event %s\nsubject %s\nstructured %s\n", x.name, x.event.Subject(), x.event.AppendStructured(nil))
		for _, name := range slices.Sorted(maps.Keys(header)) {
			for _, v := range header[name] {
				fmt.Fprintf(&got, "header %s: %s\n", name, v)
			}
		}
		fmt.Fprintf(&got, "data %s\n\n", data)
	}
	if *update {
		if err := os.WriteFile(goldenV1, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(goldenV1)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("the wire has changed (-want +got):\n%s", diff)
	}
}

func TestGoldenV1Decode(t *testing.T) {
	f, err := os.Open(goldenV1)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var x example
	var subject string
	header := map[string][]string{}
	seen := 0
	decode := func(mode string, header map[string][]string, payload string) {
		t.Helper()
		seen++
		var got event.Event
		if err := event.Decode(subject, header, []byte(payload), &got); err != nil {
			t.Errorf("%s, %s: %v", x.name, mode, err)
			return
		}
		if diff := cmp.Diff(x.event, got); diff != "" {
			t.Errorf("%s, %s (-want +got):\n%s", x.name, mode, diff)
		}
	}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		what, rest, _ := strings.Cut(lines.Text(), " ")
		switch what {
		case "event":
			i := slices.IndexFunc(examples(), func(x example) bool { return x.name == rest })
			if i < 0 {
				t.Fatalf("no example %q", rest)
			}
			x = examples()[i]
			clear(header)
		case "subject":
			subject = rest
		case "structured":
			decode("structured", map[string][]string{"Content-Type": {event.ContentType}}, rest)
			decode("structured without header", nil, rest)
		case "header":
			name, value, _ := strings.Cut(rest, ": ")
			header[name] = append(header[name], value)
		case "data":
			decode("binary", header, rest)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if want := 3 * len(examples()); seen != want {
		t.Errorf("%d events decoded, want %d", seen, want)
	}
}
