package event

import "strings"

// SubjectPrefix is what the subject of every event begins with, two tokens.
const SubjectPrefix = "pinstatus.events"

// SubjectTokens are the tokens of an event's subject that follow SubjectPrefix.
type SubjectTokens struct {
	Family Family
	Tenant string
	Key    string // as on the wire: the escaped id, see UnescapeToken
}

// Subject is the NATS subject of the events of a PIN code or account, whichever the family
// is keyed by.
func Subject(f Family, tenant, id string) string {
	return SubjectPrefix + "." + f.String() + "." + tenant + "." + EscapeToken(id)
}

// ParseSubject splits the subject of an event. The error is an *Error with ReasonSubject:
// the subject has not exactly the five tokens, names no family or no possible tenant, or
// spells its key otherwise than EscapeToken does.
func ParseSubject(subject string) (SubjectTokens, error) {
	s, bad := parseSubject(subject)
	if bad != nil {
		return SubjectTokens{}, bad
	}
	return s, nil
}

func parseSubject(subject string) (SubjectTokens, *Error) {
	rest, ok := strings.CutPrefix(subject, SubjectPrefix+".")
	if !ok {
		return SubjectTokens{}, &Error{ReasonSubject, "subject prefix"}
	}
	family, rest, ok1 := strings.Cut(rest, ".")
	tenant, key, ok2 := strings.Cut(rest, ".")
	if !ok1 || !ok2 || strings.IndexByte(key, '.') >= 0 {
		return SubjectTokens{}, &Error{ReasonSubject, "subject tokens"}
	}
	s := SubjectTokens{Family: parseFamily(family), Tenant: tenant, Key: key}
	switch {
	case s.Family == 0:
		return SubjectTokens{}, &Error{ReasonSubject, "subject family"}
	case !ValidTenant(tenant):
		return SubjectTokens{}, &Error{ReasonSubject, "subject tenant"}
	case !canonicalToken(key):
		return SubjectTokens{}, &Error{ReasonSubject, "subject key"}
	}
	return s, nil
}

// ValidTenant reports whether a tenant id matches [a-z0-9][a-z0-9-]{0,62}.
func ValidTenant(id string) bool {
	if id == "" || len(id) > 63 || id[0] == '-' {
		return false
	}
	for i := range len(id) {
		if c := id[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// Partition is the partition, of so many, of the events of a key: the number that
// JetStream's partition() computes from the tokens tenant and key (the escaped id).
// It is FNV-1a of both, modulo partitions; 0 where there are no partitions.
func Partition(tenant, key string, partitions int) int {
	const offset, prime = 2166136261, 16777619
	if partitions <= 0 {
		return 0
	}
	h := uint32(offset)
	for i := range len(tenant) {
		h = (h ^ uint32(tenant[i])) * prime
	}
	for i := range len(key) {
		h = (h ^ uint32(key[i])) * prime
	}
	return int(uint64(h) % uint64(partitions)) //nolint:gosec // below partitions
}
