package event_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pinstatus/pinstatus/consumer/event"
)

func TestEscapeToken(t *testing.T) {
	for id, want := range map[string]string{
		"":            "",
		"2B67":        "2B67",
		"a-b_C9":      "a-b_C9",
		"a.b":         "a%2Eb",
		"*":           "%2A",
		">":           "%3E",
		"%":           "%25",
		"%2E":         "%252E",
		"a b":         "a%20b",
		"é":           "%C3%A9",
		"+48":         "%2B48",
		"~":           "%7E",
		"a/b:c":       "a%2Fb%3Ac",
		"\x00\x7f":    "%00%7F",
		"[]{}@`":      "%5B%5D%7B%7D%40%60",
		"plain-then.": "plain-then%2E",
	} {
		if got := event.EscapeToken(id); got != want {
			t.Errorf("EscapeToken(%q) = %q, want %q", id, got, want)
		}
	}
}

func TestEscapeTokenOfPlainIDAllocatesNothing(t *testing.T) {
	id := strings.Repeat("aZ0-_", 20)
	if n := testing.AllocsPerRun(100, func() { event.EscapeToken(id) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func TestUnescapeTokenRefusesOtherSpellings(t *testing.T) {
	for _, token := range []string{
		"", "a.b", "a b", "*", ">", "é", "~",
		"%", "%2", "a%", "a%2", "%%", "%2G", "%G2", "%zz", // no escape
		"%2e", "%c3%a9", // lower case
		"%41", "%5F", "%2D", "%30", "%7A", // needs no escape
	} {
		if id, err := event.UnescapeToken(token); err == nil {
			t.Errorf("UnescapeToken(%q) = %q, want an error", token, id)
		} else if token != "" && len(token) > 2 && strings.Contains(err.Error(), token) {
			t.Errorf("the error quotes the token: %v", err)
		}
	}
}

// Each id has one token, and each token that is taken has one id.
func TestTokensAndIDsAreOneToOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.OneOf(rapid.StringN(1, 40, -1), rapid.Map(rapid.SliceOfN(rapid.Byte(), 1, 40), func(b []byte) string { return string(b) })).Draw(t, "id")
		token := event.EscapeToken(id)
		back, err := event.UnescapeToken(token)
		if err != nil || back != id {
			t.Fatalf("id %q: token %q, back %q, %v", id, token, back, err)
		}
		if strings.ContainsAny(token, ".*> \t\r\n") {
			t.Fatalf("id %q: token %q is no subject token", id, token)
		}

		other := rapid.StringMatching(`[%.a-zA-F0-9]{1,12}`).Draw(t, "token")
		if id, err := event.UnescapeToken(other); err == nil && event.EscapeToken(id) != other {
			t.Fatalf("token %q: id %q, whose token is %q", other, id, event.EscapeToken(id))
		}
	})
}

func TestParseSubject(t *testing.T) {
	for subject, want := range map[string]event.SubjectTokens{
		"pinstatus.events.sms.acme.2B67":          {Family: event.FamilySMS, Tenant: "acme", Key: "2B67"},
		"pinstatus.events.voice.a.%2E":            {Family: event.FamilyVoice, Tenant: "a", Key: "%2E"},
		"pinstatus.events.code.0-.x":              {Family: event.FamilyCode, Tenant: "0-", Key: "x"},
		"pinstatus.events.attempt.acme.%C3%A9":    {Family: event.FamilyAttempt, Tenant: "acme", Key: "%C3%A9"},
		"pinstatus.events.account.acme-2.abc_123": {Family: event.FamilyAccount, Tenant: "acme-2", Key: "abc_123"},
	} {
		got, err := event.ParseSubject(subject)
		if err != nil {
			t.Errorf("ParseSubject(%q): %v", subject, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("ParseSubject(%q) (-want +got):\n%s", subject, diff)
		}
		id, err := event.UnescapeToken(got.Key)
		if err != nil {
			t.Errorf("the key of %q: %v", subject, err)
		}
		if back := event.Subject(got.Family, got.Tenant, id); back != subject {
			t.Errorf("%q comes back as %q", subject, back)
		}
	}
}

func TestParseSubjectFaults(t *testing.T) {
	for subject, detail := range map[string]string{
		"":                                      "subject prefix",
		"pinstatus.events":                      "subject prefix",
		"pinstatus.eventsx.sms.acme.x":          "subject prefix",
		"pinstatus.p.3.sms.acme.x":              "subject prefix",
		"pinstatus.events.":                     "subject tokens",
		"pinstatus.events.sms":                  "subject tokens",
		"pinstatus.events.sms.acme":             "subject tokens",
		"pinstatus.events.sms.acme.x.y":         "subject tokens",
		"pinstatus.events.mms.acme.x":           "subject family",
		"pinstatus.events.SMS.acme.x":           "subject family",
		"pinstatus.events..acme.x":              "subject family",
		"pinstatus.events.*.acme.x":             "subject family",
		"pinstatus.events.sms..x":               "subject tenant",
		"pinstatus.events.sms.Acme.x":           "subject tenant",
		"pinstatus.events.sms.-acme.x":          "subject tenant",
		"pinstatus.events.sms.ac_me.x":          "subject tenant",
		"pinstatus.events.sms.acme.":            "subject key",
		"pinstatus.events.sms.acme.*":           "subject key",
		"pinstatus.events.sms.acme.>":           "subject key",
		"pinstatus.events.sms.acme.%2e":         "subject key",
		"pinstatus.events.sms.acme.%41":         "subject key",
		"pinstatus.events.sms.acme.\u00e9":      "subject key",
		"pinstatus.events.sms.acme.a b":         "subject key",
		"pinstatus.events.sms." + name64 + ".x": "subject tenant",
	} {
		_, err := event.ParseSubject(subject)
		wantFault(t, subject, err, event.ReasonSubject, detail)
	}
}

var name64 = strings.Repeat("a", 64)

func TestValidTenant(t *testing.T) {
	for id, want := range map[string]bool{
		"": false, "a": true, "0": true, "-": false, "a-": true, "-a": false, "A": false, "a.b": false, "a_b": false,
		"é": false, "acme-2": true, name64: false, name64[1:]: true,
	} {
		if got := event.ValidTenant(id); got != want {
			t.Errorf("ValidTenant(%q) = %v", id, got)
		}
	}
}

func TestPartitionOfNoPartitions(t *testing.T) {
	for _, n := range []int{0, -1, 1} {
		if got := event.Partition("acme", "2B67", n); got != 0 {
			t.Errorf("Partition(…, %d) = %d, want 0", n, got)
		}
	}
}

// wantFault checks that err is the *event.Error expected, and not quoting the value.
func wantFault(t testing.TB, name string, err error, reason event.Reason, detail string) {
	t.Helper()
	var bad *event.Error
	if !errors.As(err, &bad) {
		t.Errorf("%s: got %v, want %s: %s", name, err, reason, detail)
		return
	}
	if bad.Reason != reason || bad.Detail != detail {
		t.Errorf("%s: got %v, want %s: %s", name, bad, reason, detail)
	}
}
