package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of what a policy may say. A lock is at most as long as the contract allows one
// to be that is imposed from outside; lateness stays within the 30 days for which the
// time of an account's deletion is kept (rule P6).
const (
	maxClockSkew   = time.Hour
	maxLateness    = 30 * 24 * time.Hour
	maxRetention   = 10 * 366 * 24 * time.Hour
	maxLock        = 366 * 24 * time.Hour
	maxPINTypeName = 256
	maxKeyName     = 128
)

var tenantID = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// validate reports what is wrong with the values of the tenants.
func validate(p *problems, tenants []Tenant) {
	if len(tenants) == 0 {
		p.add("tenants", "there must be at least one tenant")
	}
	ids := map[string]string{}
	access := newAccess(p)
	for i := range tenants {
		t, path := &tenants[i], fmt.Sprintf("tenants[%d]", i)
		switch id := path + ".id"; {
		case t.ID == "":
			p.add(id, "is required")
		case !tenantID.MatchString(t.ID):
			p.add(id, "must be 1 to 63 small letters, digits and hyphens, not beginning with a hyphen: %q", t.ID)
		default:
			unique(p, ids, t.ID, id, "the tenant %q is defined already at %s", t.ID)
		}
		validatePolicy(p, t, path)
		validatePINTypes(p, t, path)
		access.validate(t, path)
		positive(p, path+".limits.requestsPerSecond", t.Limits.RequestsPerSecond)
		positive(p, path+".limits.waiters", t.Limits.Waiters)
		positive(p, path+".limits.waitersPerAccount", t.Limits.WaitersPerAccount)
	}
}

func validatePolicy(p *problems, t *Tenant, path string) {
	if t.PolicyVersion < 1 {
		p.add(path+".policyVersion", "must be at least 1")
	}
	between(p, path+".maxClockSkew", t.MaxClockSkew, 0, maxClockSkew)
	between(p, path+".allowedLateness", t.AllowedLateness, time.Millisecond, maxLateness)
	between(p, path+".codeRetention", t.CodeRetention, time.Millisecond, maxRetention)
}

func validatePINTypes(p *problems, t *Tenant, path string) {
	if len(t.PINTypes) == 0 {
		p.add(path+".pinTypes", "there must be at least one PIN type")
		return
	}
	names := map[string]string{}
	for i := range t.PINTypes {
		pt, path := &t.PINTypes[i], fmt.Sprintf("%s.pinTypes[%d]", path, i)
		if name(p, path+".name", pt.Name, maxPINTypeName) {
			unique(p, names, pt.Name, path+".name", "the PIN type %q is defined already at %s", pt.Name)
		}
		positive(p, path+".maxAttempts", pt.MaxAttempts)
		if len(pt.LockDurations) == 0 {
			p.add(path+".lockDurations", "there must be at least one duration")
		}
		for j, d := range pt.LockDurations {
			between(p, fmt.Sprintf("%s.lockDurations[%d]", path, j), d, time.Millisecond, maxLock)
		}
	}
	isUser := func(pt PINType) bool { return pt.Name == t.UserPINType }
	if !slices.ContainsFunc(t.PINTypes, isUser) && !p.broken(path+".pinTypes") {
		p.add(path+".userPinType", "must be one of the tenant's PIN types: %q is not", t.UserPINType)
	}
}

// name checks a name that operators choose; false if it is no name.
func name(p *problems, path, s string, longest int) bool {
	switch {
	case s == "":
		p.add(path, "is required")
	case len(s) > longest:
		p.add(path, "must be at most %d bytes long, not %d", longest, len(s))
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		p.add(path, "must not hold control characters")
	default:
		return true
	}
	return false
}

// unique reports a value that another member has; the message's last verb is that member.
func unique(p *problems, seen map[string]string, value, path, format string, args ...any) {
	if p.broken(path) {
		return
	}
	if first, ok := seen[value]; ok {
		p.add(path, format, append(args, p.where(first))...)
		return
	}
	seen[value] = path
}

func positive(p *problems, path string, n int) {
	if n < 1 {
		p.add(path, "must be at least 1, not %d", n)
	}
}

func between(p *problems, path string, d, least, most time.Duration) {
	switch {
	case d < least:
		p.add(path, "must be at least %s, not %s", short(least), short(d))
	case d > most:
		p.add(path, "must be at most %s, not %s", short(most), short(d))
	}
}

// short writes a duration as one would by hand: 1h and not 1h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
