package config

import (
	"crypto/sha256"
	"encoding/hex"

	"go.yaml.in/yaml/v4"
)

// decode reads the tenants of a file, with the default of every member that was left out.
// It checks names and types; validate checks what they say.
func decode(p *problems, text []byte) []Tenant {
	r := &reader{p}
	root, ok := r.parseYAML(text)
	if !ok {
		return nil
	}
	o := r.object(root, `a mapping with the member "tenants"`)
	defer o.end()
	var tenants []Tenant
	if n, ok := o.member("tenants"); ok {
		for _, item := range r.list(n, "a list of tenants") {
			tenants = append(tenants, r.tenant(item))
		}
	}
	return tenants
}

func (r *reader) tenant(n node) Tenant {
	t := NewTenant("")
	o := r.object(n, "a mapping that begins with an id")
	defer o.end()
	if n, ok := o.member("id"); ok {
		t.ID = r.text(n)
	}
	if n, ok := o.member("policyVersion"); ok {
		t.PolicyVersion = uint64(max(0, r.integer(n)))
	}
	if n, ok := o.member("maxClockSkew"); ok {
		t.MaxClockSkew = r.duration(n)
	}
	if n, ok := o.member("allowedLateness"); ok {
		t.AllowedLateness = r.duration(n)
	}
	if n, ok := o.member("codeRetention"); ok {
		t.CodeRetention = r.duration(n)
	}
	user, hasUser := o.member("userPinType")
	if n, ok := o.member("pinTypes"); ok {
		for _, item := range r.list(n, "a list of PIN types") {
			t.PINTypes = append(t.PINTypes, r.pinType(item))
		}
	}
	if hasUser {
		t.UserPINType = r.text(user)
	} else if len(t.PINTypes) > 0 {
		t.UserPINType = t.PINTypes[0].Name
	}
	if n, ok := o.member("apiKeys"); ok {
		for _, item := range r.list(n, "a list of API keys") {
			t.APIKeys = append(t.APIKeys, r.apiKey(item))
		}
	}
	if n, ok := o.member("tokens"); ok {
		for _, item := range r.list(n, "a list of token issuers") {
			t.Issuers = append(t.Issuers, r.issuer(item))
		}
	}
	if n, ok := o.member("corsOrigins"); ok {
		t.CORSOrigins = r.texts(n, "a list of origins")
	}
	if n, ok := o.member("limits"); ok {
		r.limits(n, &t.Limits)
	}
	return t
}

func (r *reader) pinType(n node) PINType {
	t := NewPINType("")
	o := r.object(n, "a mapping that begins with a name")
	defer o.end()
	if n, ok := o.member("name"); ok {
		t.Name = r.text(n)
	}
	t.Description = t.Name
	if n, ok := o.member("description"); ok {
		t.Description = r.text(n)
	}
	if n, ok := o.member("mandatory"); ok {
		t.Mandatory = r.truth(n)
	}
	if n, ok := o.member("maxAttempts"); ok {
		t.MaxAttempts = r.integer(n)
	}
	if n, ok := o.member("lockDurations"); ok {
		t.LockDurations = nil
		for _, item := range r.list(n, "a list of durations") {
			t.LockDurations = append(t.LockDurations, r.duration(item))
		}
	}
	return t
}

func (r *reader) apiKey(n node) APIKey {
	var k APIKey
	o := r.object(n, "a mapping that begins with a name")
	defer o.end()
	if n, ok := o.member("name"); ok {
		k.Name = r.text(n)
	}
	if n, ok := o.member("sha256"); ok {
		k.SHA256 = r.hash(n)
	}
	if n, ok := o.member("scopes"); ok {
		k.Scopes = r.texts(n, "a list of scopes")
	}
	if n, ok := o.member("notBefore"); ok {
		k.NotBefore = r.time(n)
	}
	if n, ok := o.member("expires"); ok {
		k.Expires = r.time(n)
	}
	return k
}

// hash reads the SHA-256 of an API key. A wrong value is not quoted: it may be the key.
func (r *reader) hash(n node) (sum [sha256.Size]byte) {
	// Unquoted, a hash of digits alone is a number to YAML: its text is taken as written.
	if v := resolve(n.value); v.Kind == yaml.ScalarNode {
		if b, err := hex.DecodeString(v.Value); err == nil && len(b) == len(sum) {
			return [sha256.Size]byte(b)
		}
	}
	r.addLine(n.line, n.path, "must be the SHA-256 of the key, 64 hexadecimal digits, and not the key itself")
	r.unread = append(r.unread, n.path)
	return sum
}

func (r *reader) issuer(n node) Issuer {
	var is Issuer
	o := r.object(n, "a mapping that begins with an issuer")
	defer o.end()
	if n, ok := o.member("issuer"); ok {
		is.Issuer = r.text(n)
	}
	if n, ok := o.member("audience"); ok {
		is.Audience = r.text(n)
	}
	if n, ok := o.member("jwksFile"); ok {
		is.JWKSFile = r.text(n)
	}
	if n, ok := o.member("jwksURL"); ok {
		is.JWKSURL = r.text(n)
	}
	return is
}

func (r *reader) limits(n node, l *Limits) {
	o := r.object(n, "a mapping of limits")
	defer o.end()
	if n, ok := o.member("requestsPerSecond"); ok {
		l.RequestsPerSecond = r.integer(n)
	}
	if n, ok := o.member("waiters"); ok {
		l.Waiters = r.integer(n)
	}
	if n, ok := o.member("waitersPerAccount"); ok {
		l.WaitersPerAccount = r.integer(n)
	}
}
