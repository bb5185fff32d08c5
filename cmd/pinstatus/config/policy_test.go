package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/projector/fold"
)

func mustParse(tb testing.TB, text string) *Config {
	tb.Helper()
	c, p := parse("pinstatus.yaml", []byte(text))
	if err := p.err(); err != nil {
		tb.Fatal(err)
	}
	return c
}

func TestPolicy(t *testing.T) {
	got := mustParse(t, `
tenants:
  - {id: a, policyVersion: 3, maxClockSkew: 0s, pinTypes: [{name: X, maxAttempts: 4, lockDurations: [1s, 2s]}, {name: Y}]}
  - {id: b, pinTypes: [{name: X}]}
`).Policy()
	want := &fold.Policy{
		Version: 4,
		// Stored beside the views: it must not change from one release to the next.
		Hash: "06014746667c15b00b0e0577514c9674d53461676f065dc4f0a670c32208ff00",
		Tenants: map[string]*fold.Tenant{
			"a": {
				AllowedLateness: time.Hour,
				CodeRetention:   720 * time.Hour,
				PINTypes: map[string]*fold.PINType{
					"X": {MaxAttempts: 4, LockDurations: []time.Duration{time.Second, 2 * time.Second}},
					"Y": {MaxAttempts: 3, LockDurations: []time.Duration{time.Minute}},
				},
			},
			"b": {
				MaxClockSkew:    5 * time.Second,
				AllowedLateness: time.Hour,
				CodeRetention:   720 * time.Hour,
				PINTypes:        map[string]*fold.PINType{"X": {MaxAttempts: 3, LockDurations: []time.Duration{time.Minute}}},
			},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("policy (-want +got):\n" + diff)
	}
}

func TestPolicyHash(t *testing.T) {
	const text = `
tenants:
  - id: a
    maxClockSkew: 5s
    allowedLateness: 1h
    codeRetention: 720h
    pinTypes:
      - {name: X, description: some, mandatory: false, maxAttempts: 3, lockDurations: [1m, 2m]}
      - {name: Y}
  - {id: b, pinTypes: [{name: X}]}
`
	base := mustParse(t, text).Policy().Hash
	tests := []struct {
		name     string
		old, new string
		same     bool
	}{
		{"as it is", "", "", true},
		{"description", "some", "another", true},
		{"mandatory", "mandatory: false", "mandatory: true", true},
		{"user PIN type", "- id: a", "- id: a\n    userPinType: Y", true},
		{"policy version", "- id: a", "- id: a\n    policyVersion: 9", true},
		{"limits", "- id: a", "- id: a\n    limits: {waiters: 1}", true},
		{"another spelling", "1m, 2m", "60s, 120s", true},
		{"order of PIN types", "      - {name: Y}\n", "", false},
		{"tenant", "id: b", "id: c", false},
		{"skew", "maxClockSkew: 5s", "maxClockSkew: 6s", false},
		{"lateness", "allowedLateness: 1h", "allowedLateness: 2h", false},
		{"retention", "codeRetention: 720h", "codeRetention: 721h", false},
		{"PIN type", "name: Y", "name: Z", false},
		{"attempts", "maxAttempts: 3", "maxAttempts: 4", false},
		{"duration", "2m", "3m", false},
		{"number of durations", "1m, 2m", "1m", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			hash := mustParse(t, strings.Replace(text, tt.old, tt.new, 1)).Policy().Hash
			if got := hash == base; got != tt.same {
				t.Errorf("same hash: %v, want %v", got, tt.same)
			}
		})
	}
}

func TestPolicyHashIgnoresOrder(t *testing.T) {
	a := mustParse(t, `tenants: [{id: a, pinTypes: [{name: X}, {name: Y, maxAttempts: 9}]}, {id: b, pinTypes: [{name: X}]}]`)
	b := mustParse(t, `tenants: [{id: b, pinTypes: [{name: X}]}, {id: a, pinTypes: [{name: Y, maxAttempts: 9}, {name: X}]}]`)
	if got, want := b.Policy().Hash, a.Policy().Hash; got != want {
		t.Errorf("hash %s in another order, want %s", got, want)
	}
}

func TestSuccessor(t *testing.T) {
	const running = `tenants:
  - id: a
    policyVersion: 2
    userPinType: X
    pinTypes:
      - {name: X, lockDurations: [1m, 5m]}
      - {name: Y}
  - {id: b, pinTypes: [{name: X}]}
`
	replace := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(running) }
	tests := []struct {
		name string
		next string
		want []string
	}{
		{"the same", running, nil},
		{"version alone", replace("policyVersion: 2", "policyVersion: 3"), nil},
		{"change with version", replace("policyVersion: 2", "policyVersion: 3", "5m", "6m"), nil},
		{"description", replace("name: Y", "name: Y, description: Why"), nil},
		{"order of PIN types", replace("name: X, lockDurations: [1m, 5m]", "name: Y", "name: Y", "name: X, lockDurations: [1m, 5m]"), nil},
		{"new tenant", running + "  - {id: c, pinTypes: [{name: X}]}\n", nil},
		{"lowered version", replace("policyVersion: 2", "policyVersion: 1"), []string{
			`pinstatus.yaml:3: tenants[0].policyVersion: the tenant "a" runs with 2: it cannot be lowered to 1`,
		}},
		{"changes without version", replace("[1m, 5m]", "[1m]", "- id: a", "- id: a\n    codeRetention: 1h\n    maxClockSkew: 1s\n    allowedLateness: 2h",
			"name: X}]", "name: X, maxAttempts: 4}]"), []string{
			`pinstatus.yaml:3: tenants[0].codeRetention: the tenant "a" runs with 720h: to change it, raise policyVersion above 2`,
			`pinstatus.yaml:4: tenants[0].maxClockSkew: the tenant "a" runs with 5s: to change it, raise policyVersion above 2`,
			`pinstatus.yaml:5: tenants[0].allowedLateness: the tenant "a" runs with 1h: to change it, raise policyVersion above 2`,
			`pinstatus.yaml:9: tenants[0].pinTypes[0].lockDurations: the tenant "a" runs with [1m, 5m]: to change it, raise policyVersion above 2`,
			`pinstatus.yaml:11: tenants[1].pinTypes[0].maxAttempts: the tenant "b" runs with 3: to change it, raise policyVersion above 1`,
		}},
		{"PIN types without version", replace("name: Y", "name: Z"), []string{
			`pinstatus.yaml:5: tenants[0].pinTypes: the tenant "a" runs with the PIN type "Y": to change it, raise policyVersion above 2`,
			`pinstatus.yaml:7: tenants[0].pinTypes[1]: the tenant "a" runs with no PIN type "Z": to change it, raise policyVersion above 2`,
		}},
		{"removed tenant", replace("  - {id: b, pinTypes: [{name: X}]}\n", ""), []string{
			`pinstatus.yaml:1: tenants: a tenant was removed, so the policyVersion of another must be raised: their sum is 2 and must be above the running 3`,
		}},
		{"removed tenant with version", replace("  - {id: b, pinTypes: [{name: X}]}\n", "", "policyVersion: 2", "policyVersion: 4"), nil},
		{"replaced tenant", replace("id: b", "id: c"), []string{
			`pinstatus.yaml:1: tenants: a tenant was removed, so the policyVersion of another must be raised: their sum is 3 and must be above the running 3`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			if err := mustParse(t, running).Successor(mustParse(t, tt.next)); err != nil {
				got = lines(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error("problems (-want +got):\n" + diff)
			}
		})
	}
}
