package main

import (
	"strings"
	"testing"

	"github.com/pinstatus/pinstatus/projector/audit"
)

func TestVerifyMistakes(t *testing.T) {
	for _, tt := range []struct{ memory, want string }{
		{"5", "pinstatus: --memory: 5 is less than 1MiB\n"},
		{"1023KiB", "pinstatus: --memory: 1023KiB is less than 1MiB\n"},
		{"1MiB", "pinstatus: --config (or PINSTATUS_CONFIG) is required: views are folded by its policy\n"},
	} {
		if code, out, errOut := execute(t, newVerify(), "--memory", tt.memory); code != exitCannotTell || out != "" || errOut != tt.want {
			t.Errorf("--memory %s: exit code %d, %q and %q; want %d, none and %q", tt.memory, code, out, errOut, exitCannotTell, tt.want)
		}
	}
}

// What cannot be told is never taken for views that differ.
func TestVerifyFlagMistakes(t *testing.T) {
	for args, want := range map[string]string{
		"--memory foo": `pinstatus: invalid argument "foo" for "--memory" flag: `, "--nope": "pinstatus: unknown flag: --nope\n",
		"nobody": "pinstatus: unknown command ", "--max-differences -1": "pinstatus: --max-differences: -1 is less than 0\n",
	} {
		code, out, errOut := command(t, append([]string{"verify"}, strings.Fields(args)...)...)
		if code != exitCannotTell || out != "" || !strings.HasPrefix(errOut, want) {
			t.Errorf("%s: exit code %d, %q and %q; want %d, none and %q", args, code, out, errOut, exitCannotTell, want)
		}
	}
}

func TestReportTexts(t *testing.T) {
	gone := []audit.Untold{{Partition: 1, Reason: "there is no position"}}
	for _, tt := range []struct {
		report audit.Report
		want   string
	}{
		{audit.Report{Passes: 1, Views: 7, Through: 90}, "7 views compared with the stream up to sequence 90, in 1 pass: all equal\n"},
		{
			audit.Report{Passes: 2, Views: 1, Through: 90, Untold: gone},
			"1 view compared with the stream up to sequence 90, in 2 passes: those are equal\ncould not tell: partition 1: there is no position\n",
		},
		{audit.Report{Untold: gone}, "nothing could be compared\ncould not tell: partition 1: there is no position\n"},
		{audit.Report{Passes: 1, Views: 7, Differences: 3}, "7 views compared with the stream up to sequence 0, in 1 pass: 3 differ (the first 2 are above)\n"},
	} {
		tt.report.Generation, tt.report.Partitions = 3, 2
		var out strings.Builder
		if err := writeReport(&out, &tt.report, 2); err != nil || out.String() != "generation 3, 2 partitions: "+tt.want {
			t.Errorf("%v, got\n%swant\n%s", err, out.String(), tt.want)
		}
	}
}
