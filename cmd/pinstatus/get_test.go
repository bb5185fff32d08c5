package main

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const pinTable = `PIN   CHANNEL  ID    STATUS                    DESCRIPTION                                                   FINAL  CHANGED
2B67  sms      m1    MESSAGE_DELIVERED         Message sent and delivered                                    yes    2026-11-21T10:00:04.000Z
2B67  voice    c<1>  ERROR                     System error occurred during processing. (12 no\x1b[2Jroute)  yes    2026-11-21T10:00:05.000Z
2B67  sms      m2    MESSAGE_WAITING_DELIVERY  Message sent, waiting for delivery                            no     -

PIN   VERIFICATION
2B67  1 wrong, 2 attempts left
`

const accountTable = `ACCOUNT  TYPE      MANDATORY  STATUS  LOCKED FOR  FAILED  LEFT  LOCKS  CHANGED
alice    Parental  yes        LOCKED  1m1s        0       3     1      2026-11-21T10:00:05.000Z
alice    Purchase  no         SET     -           1       4     0      -
`

func TestGet(t *testing.T) {
	s := newAsked(t, (*httptest.Server).Start)
	t.Setenv("PINSTATUS_URL", s.URL)
	t.Setenv("PINSTATUS_TOKEN", "t")
	const lag = "pinstatus: the answer is 12.3s behind the event stream\n"
	twice := accountTable + strings.Join(strings.SplitAfter(accountTable, "\n")[1:], "")
	tests := []struct {
		args   string
		code   int
		out    string
		errOut string
		how    how
	}{
		{"pin 2B67", 0, pinTable, "", how{path: "/v1/pins/2B67"}},
		{"pin 2B67 --json", 0, pinLine + "\n", "", how{path: "/v1/pins/2B67"}},
		{"pin a/b", 1, "", "pinstatus: PIN code a/b: not found\n", how{path: "/v1/pins/a%2Fb"}},
		{"pin 2B67 none x", 1, pinTable, "pinstatus: PIN code none: not found\npinstatus: PIN code n\\a: not found\n", how{path: "/v1/pins:batchGet"}},
		{"pin 2B67 none x --json", 1, pinLine + "\n", "pinstatus: PIN code none: not found\npinstatus: PIN code n\\a: not found\n", how{path: "/v1/pins:batchGet"}},
		{"pin 2B67 --wait 30s --min-sequence 7", 0, pinTable, "", how{path: "/v1/pins/2B67", prefer: "wait=30", sequence: "7"}},
		{"account alice", 0, accountTable, lag, how{path: "/v1/accounts/alice"}},
		{"account alice --json", 0, accountLine + "\n", lag, how{path: "/v1/accounts/alice"}},
		{"account alice a", 0, twice, "", how{path: "/v1/accounts:batchGet"}},
		{"account alice a --json", 0, accountLine + "\n" + accountLine + "\n", "", how{path: "/v1/accounts:batchGet"}},
		{"account bob", 1, "", "pinstatus: account bob: not found\n", how{path: "/v1/accounts/bob"}},
		{"account behind --min-sequence 42", 2, "", "pinstatus: get account: 409 Conflict: Not yet. The position is 41.\n", how{path: "/v1/accounts/behind", sequence: "42"}},
		{"account forbidden", 2, "", `pinstatus: get account: 403 Forbidden: \x1b[2JNo.` + "\n", how{path: "/v1/accounts/forbidden"}},
		// What is asked wrongly does not look as if it had been answered.
		{"pin", 2, "", "pinstatus: requires at least 1 arg(s), only received 0\n", how{}},
		{"pins 2B67", 2, "", "pinstatus: unknown command \"pins\" for \"pinstatus get\": did you mean \"pin\"?\n", how{}},
		{"pin 2B67 --wiat 1s", 2, "", "pinstatus: unknown flag: --wiat\n", how{}},
		{"pin 2B67 --wait 2m", 2, "", "pinstatus: --wait: 2m0s is not from 1s to 1m0s\n", how{}},
		{"pin 2B67 --wait 0", 2, "", "pinstatus: --wait: 0s is not from 1s to 1m0s\n", how{}},
		{"pin a b --wait 1s", 2, "", "pinstatus: --wait and --min-sequence take one ID\n", how{}},
		{"account a b --min-sequence 1", 2, "", "pinstatus: --wait and --min-sequence take one ID\n", how{}},
	}
	for _, tt := range tests {
		s.how = how{}
		code, out, errOut := command(t, append([]string{"get"}, strings.Fields(tt.args)...)...)
		if code != tt.code || errOut != tt.errOut {
			t.Errorf("get %s: exit code %d and %q, want %d and %q", tt.args, code, errOut, tt.code, tt.errOut)
		}
		if diff := cmp.Diff(tt.out, out); diff != "" {
			t.Errorf("get %s (-want +got):\n%s", tt.args, diff)
		}
		if tt.how.path != "" {
			tt.how.credential = "Bearer t"
		}
		if s.how != tt.how {
			t.Errorf("get %s: asked %+v, want %+v", tt.args, s.how, tt.how)
		}
	}
}
