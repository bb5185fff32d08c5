package query

import (
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNewDirectory(t *testing.T) {
	types := []PINType{{Name: "Parental"}, {Name: "Purchase"}}
	key := APIKey{Name: "k", SHA256: sha256.Sum256([]byte("k"))}
	issuer := Issuer{Issuer: "https://id.example/", Audience: "a"}
	for _, tc := range []struct {
		name    string
		tenants []Tenant
		want    string // in the error; empty for none
	}{
		{"none", nil, ""},
		{"one", []Tenant{{ID: "a", PINTypes: types, APIKeys: []APIKey{key}, Issuers: []Issuer{issuer}}}, ""},
		{"one issuer, two audiences", []Tenant{
			{ID: "a", PINTypes: types, Issuers: []Issuer{issuer}},
			{ID: "b", PINTypes: types, Issuers: []Issuer{{Issuer: issuer.Issuer, Audience: "b"}}},
		}, ""},
		{"bad id", []Tenant{{ID: "A", PINTypes: types}}, `tenant "A": id does not match`},
		{"twice", []Tenant{{ID: "a", PINTypes: types}, {ID: "a", PINTypes: types}}, `tenant "a": defined twice`},
		{"no types", []Tenant{{ID: "a"}}, "no PIN types"},
		{"type twice", []Tenant{{ID: "a", PINTypes: append(types[:2:2], types[0])}}, `PIN type "Parental": defined twice`},
		{"type without a name", []Tenant{{ID: "a", PINTypes: []PINType{{}}}}, "without a proper name"},
		{"unknown user type", []Tenant{{ID: "a", PINTypes: types, UserPINType: "x"}}, `PIN type "x" is not one`},
		{
			"key of two tenants",
			[]Tenant{{ID: "a", PINTypes: types, APIKeys: []APIKey{key}}, {ID: "b", PINTypes: types, APIKeys: []APIKey{key}}},
			`tenant "b": API key "k" is defined twice`,
		},
		{
			"issuer and audience of two tenants",
			[]Tenant{{ID: "a", PINTypes: types, Issuers: []Issuer{issuer}}, {ID: "b", PINTypes: types, Issuers: []Issuer{issuer}}},
			`tenant "b": issuer "https://id.example/" with audience "a" is defined twice`,
		},
		{"issuer without audience", []Tenant{{ID: "a", PINTypes: types, Issuers: []Issuer{{Issuer: "x"}}}}, "needs both"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := NewDirectory(tc.tenants)
			if got := err != nil; got != (tc.want != "") || got && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v; want %q", err, tc.want)
			}
		})
	}
}

func TestDirectoryDefaults(t *testing.T) {
	d, err := NewDirectory([]Tenant{
		{ID: "a", PINTypes: []PINType{{Name: "x"}, {Name: "y"}}, CORSOrigins: []string{"https://a.example"}},
		{ID: "b", PINTypes: []PINType{{Name: "x"}, {Name: "y"}}, UserPINType: "y", Limits: Limits{1, 2, 3}, CORSOrigins: []string{"https://b.example"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		UserPINType string
		Limits      Limits
	}
	var got []row
	for _, t := range d.Tenants() {
		got = append(got, row{t.UserPINType, t.Limits})
	}
	if diff := cmp.Diff([]row{{"x", Limits{500, 10_000, 20}}, {"y", Limits{1, 2, 3}}}, got); diff != "" {
		t.Error(diff)
	}
	for origin, want := range map[string]bool{
		"https://a.example": true, "https://b.example": true, "http://a.example": false, "": false, "null": false, "*": false,
	} {
		if d.AllowsOrigin(origin) != want {
			t.Errorf("AllowsOrigin(%q) = %t", origin, !want)
		}
	}
}

func TestValidID(t *testing.T) {
	for id, want := range map[string]bool{
		"a": true, "ünï/ %": true, strings.Repeat("a", 256): true, "\u00a0": true,
		"": false, strings.Repeat("a", 257): false, "\xff": false, "a\n": false, "\x7f": false, "\u0085": false, "\x00": false,
	} {
		if ValidID(id) != want {
			t.Errorf("ValidID(%q) = %t", id, !want)
		}
	}
}
