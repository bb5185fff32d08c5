package config

import (
	"crypto/sha256"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

func hash(tb testing.TB, key string) [sha256.Size]byte {
	tb.Helper()
	return sha256.Sum256([]byte(key))
}

func TestLoad(t *testing.T) {
	c, err := Load("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	jwks, err := os.ReadFile("testdata/acme.jwks.json")
	if err != nil {
		t.Fatal(err)
	}
	want := []Tenant{
		{
			ID:              "acme",
			PolicyVersion:   3,
			MaxClockSkew:    2 * time.Second,
			AllowedLateness: 30 * time.Minute,
			CodeRetention:   48 * time.Hour,
			UserPINType:     "Purchase",
			PINTypes: []PINType{
				{Name: "Parental", Description: "Parental control PIN", Mandatory: true, MaxAttempts: 3, LockDurations: []time.Duration{20 * time.Second}},
				{Name: "Purchase", Description: "Purchase", MaxAttempts: 5, LockDurations: []time.Duration{time.Minute, 5 * time.Minute, time.Hour}},
			},
			APIKeys: []APIKey{
				{
					Name:   "support-desk",
					SHA256: hash(t, "test"),
					Scopes: []string{ScopeDeliveriesRead},
				},
				{
					Name:    "back-office",
					SHA256:  hash(t, "test2"),
					Scopes:  []string{ScopeDeliveriesRead, ScopePINsRead},
					Expires: time.Date(2027, 3, 31, 10, 0, 0, 0, time.UTC),
				},
				{
					Name:      "back-office",
					SHA256:    hash(t, "test3"),
					NotBefore: time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC),
					Expires:   time.Date(2028, 3, 31, 0, 0, 0, 500_000_000, time.UTC),
				},
			},
			Issuers: []Issuer{
				{Issuer: "https://id.acme.example/", Audience: "pinstatus", JWKSFile: filepath.Join("testdata", "acme.jwks.json"), JWKS: jwks},
				{Issuer: "https://partner.example", Audience: "acme", JWKSURL: "https://partner.example/keys?v=1"},
				{Issuer: "http://localhost:8081/realms/test", Audience: "acme"},
			},
			CORSOrigins: []string{"https://app.acme.example", "http://localhost:3000"},
			Limits:      Limits{RequestsPerSecond: 50, Waiters: 100, WaitersPerAccount: 2},
		},
		{
			ID:              "least",
			PolicyVersion:   1,
			MaxClockSkew:    5 * time.Second,
			AllowedLateness: time.Hour,
			CodeRetention:   720 * time.Hour,
			UserPINType:     "PIN",
			PINTypes:        []PINType{{Name: "PIN", Description: "PIN", MaxAttempts: 3, LockDurations: []time.Duration{time.Minute}}},
			Limits:          Limits{RequestsPerSecond: 500, Waiters: 10000, WaitersPerAccount: 20},
		},
	}
	if diff := cmp.Diff(want, c.tenants); diff != "" {
		t.Error("tenants (-want +got):\n" + diff)
	}
}

// The messages are what an operator has to work with: the golden files are to be read as
// one.
func TestLoadRefuses(t *testing.T) {
	files, err := filepath.Glob("testdata/refused/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			_, err := Load(file)
			if err == nil {
				t.Fatal("taken, want an error")
			}
			got := strings.ReplaceAll(err.Error(), "testdata/refused/", "") + "\n"
			if strings.Contains(got, "secret-key") {
				t.Error("the message holds what may be an API key")
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Error("problems (-want +got):\n" + diff)
			}
		})
	}
}

func TestLoadMissingFile(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "pinstatus.yaml"))
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want one that says that there is no such file", err)
	}
}

func TestProblemsAreTyped(t *testing.T) {
	_, err := Load("testdata/refused/policy.yaml")
	var p *Error
	if !errors.As(err, &p) {
		t.Fatalf("error %T, want a *Error in it", err)
	}
	want := Error{File: "testdata/refused/policy.yaml", Line: 2, Path: "tenants[0].id", Message: "is required"}
	if *p != want {
		t.Errorf("first problem %+v, want %+v", *p, want)
	}
}

func TestAnchorsAndMerges(t *testing.T) {
	c, p := parse("pinstatus.yaml", []byte(`
tenants:
  - id: a
    limits: &limits {waiters: 7, waitersPerAccount: 3}
    pinTypes: &types [&first {name: A, maxAttempts: 9}]
  - id: b
    limits: {<<: *limits, waiters: 8}
    pinTypes: *types
  - id: c
    limits: &limits2 {<<: *limits}
    pinTypes: [{<<: [*first, *limits2], name: C}]
`))
	if got := len(p.found); got != 2 {
		// limits2 is no PIN type: its two members are unknown there.
		t.Errorf("%d problems, want 2: %v", got, p.err())
	}
	if got, want := c.tenants[1].Limits, (Limits{RequestsPerSecond: 500, Waiters: 8, WaitersPerAccount: 3}); got != want {
		t.Errorf("limits of b %+v, want %+v", got, want)
	}
	if got := c.tenants[1].PINTypes; len(got) != 1 || got[0].MaxAttempts != 9 {
		t.Errorf("PIN types of b %+v, want those of a", got)
	}
	if got := c.tenants[2].PINTypes[0]; got.Name != "C" || got.MaxAttempts != 9 {
		t.Errorf("PIN type of c %+v, want C with 9 attempts", got)
	}
	if got := c.tenants[2].Limits.Waiters; got != 7 {
		t.Errorf("waiters of c %d, want 7", got)
	}
}

func TestTextForms(t *testing.T) {
	for name, text := range map[string]string{
		"byte order mark":   "\ufefftenants: [{id: a, pinTypes: [{name: A}]}]\n",
		"line ends of DOS":  "tenants:\r\n  - id: a\r\n    pinTypes:\r\n      - name: A\r\n",
		"JSON":              `{"tenants": [{"id": "a", "pinTypes": [{"name": "A"}]}]}`,
		"no final line end": "tenants: [{id: a, pinTypes: [{name: A}]}]",
		"document start":    "---\ntenants: [{id: a, pinTypes: [{name: A}]}]\n...\n",
		"block text":        "tenants:\n- id: a\n  pinTypes:\n  - name: A\n    description: |-\n      Some\n      text\n",
	} {
		t.Run(name, func(t *testing.T) {
			c, p := parse("pinstatus.yaml", []byte(text))
			if err := p.err(); err != nil {
				t.Fatal(err)
			}
			if len(c.tenants) != 1 || c.tenants[0].ID != "a" || c.tenants[0].PINTypes[0].Name != "A" {
				t.Errorf("tenants %+v, want a with the PIN type A", c.tenants)
			}
		})
	}
}

func TestNewWithoutFile(t *testing.T) {
	tenant := NewTenant("demo")
	tenant.PINTypes = []PINType{NewPINType("A"), NewPINType("B")}
	c, err := New(tenant)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.tenants[0].UserPINType; got != "A" {
		t.Errorf("user PIN type %q, want the first", got)
	}

	tenant.PINTypes[1].MaxAttempts = 0
	_, err = New(tenant)
	if want := "tenants[0].pinTypes[1].maxAttempts: must be at least 1, not 0"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func FuzzLoad(f *testing.F) {
	files, _ := filepath.Glob("testdata/refused/*.yaml")
	for _, file := range append(files, "testdata/full.yaml") {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, p := parse("pinstatus.yaml", text)
		if len(p.found) == 0 {
			c.Policy()
			return
		}
		last := 1
		for _, end := range []string{"\n", "\r", "\u0085", "\u2028", "\u2029"} { // to YAML
			last += strings.Count(string(text), end)
		}
		for _, problem := range p.found {
			if problem.Line < 1 || problem.Line > last {
				t.Errorf("%v: there is no such line", problem)
			}
		}
	})
}
