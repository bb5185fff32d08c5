package config

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pinstatus/pinstatus/projector/fold"
)

// Policy is how the tenants' events are folded. Its hash covers everything that decides a
// fold and nothing else: not a description, not what is mandatory, not an order.
func (c *Config) Policy() *fold.Policy {
	p := &fold.Policy{Tenants: make(map[string]*fold.Tenant, len(c.tenants))}
	for i := range c.tenants {
		t := &c.tenants[i]
		p.Version += t.PolicyVersion
		p.Tenants[t.ID] = t.policy()
	}
	p.Hash = hashPolicy(p.Tenants)
	return p
}

func (t *Tenant) policy() *fold.Tenant {
	p := &fold.Tenant{
		MaxClockSkew:    t.MaxClockSkew,
		AllowedLateness: t.AllowedLateness,
		CodeRetention:   t.CodeRetention,
		PINTypes:        make(map[string]*fold.PINType, len(t.PINTypes)),
	}
	for _, pt := range t.PINTypes {
		p.PINTypes[pt.Name] = &fold.PINType{
			MaxAttempts:   pt.MaxAttempts,
			LockDurations: slices.Clone(pt.LockDurations),
		}
	}
	return p
}

// hashPolicy hashes a text of the policies. Hashes are stored beside the views: another
// text for the same policy would look like another policy to every installation.
func hashPolicy(tenants map[string]*fold.Tenant) string {
	h := sha256.New()
	for _, id := range slices.Sorted(maps.Keys(tenants)) {
		t := tenants[id]
		fmt.Fprintf(h, "tenant %q skew %d lateness %d codes %d\n", id, t.MaxClockSkew, t.AllowedLateness, t.CodeRetention)
		for _, name := range slices.Sorted(maps.Keys(t.PINTypes)) {
			pt := t.PINTypes[name]
			fmt.Fprintf(h, "type %q attempts %d locks %d\n", name, pt.MaxAttempts, pt.LockDurations)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Successor checks that next may take the place of c while events are being folded: a
// tenant's policy changes only together with a raised policyVersion, which is never
// lowered, and the sum of all versions grows with every change. Without that a projector
// could not tell the older policy from the newer. The error joins one *Error for each
// tenant and member.
func (c *Config) Successor(next *Config) error {
	p := newProblems(next.file)
	p.lines = next.lines
	running := map[string]*Tenant{}
	for i := range c.tenants {
		running[c.tenants[i].ID] = &c.tenants[i]
	}
	for i := range next.tenants {
		now, path := &next.tenants[i], fmt.Sprintf("tenants[%d]", i)
		was, ok := running[now.ID]
		if !ok {
			continue
		}
		if now.PolicyVersion < was.PolicyVersion {
			p.add(path+".policyVersion", "the tenant %q runs with %d: it cannot be lowered to %d", now.ID, was.PolicyVersion, now.PolicyVersion)
			continue
		}
		if now.PolicyVersion == was.PolicyVersion {
			for _, d := range was.differences(now) {
				p.add(path+d.path, "the tenant %q runs with %s: to change it, raise policyVersion above %d", now.ID, d.was, was.PolicyVersion)
			}
		}
	}
	before, after := c.Policy(), next.Policy()
	if len(p.found) == 0 && before.Hash != after.Hash && after.Version <= before.Version {
		p.add("tenants", "a tenant was removed, so the policyVersion of another must be raised: their sum is %d and must be above the running %d",
			after.Version, before.Version)
	}
	return p.err()
}

// difference is a member of a tenant's policy that another configuration changes.
type difference struct {
	path string // from the tenant on
	was  string
}

// differences lists what decides a fold in t and is another in next.
func (t *Tenant) differences(next *Tenant) []difference {
	var all []difference
	duration := func(path string, was, now time.Duration) {
		if was != now {
			all = append(all, difference{path, short(was)})
		}
	}
	duration(".maxClockSkew", t.MaxClockSkew, next.MaxClockSkew)
	duration(".allowedLateness", t.AllowedLateness, next.AllowedLateness)
	duration(".codeRetention", t.CodeRetention, next.CodeRetention)

	was := t.policy().PINTypes
	for i, pt := range next.PINTypes {
		path := fmt.Sprintf(".pinTypes[%d]", i)
		old, ok := was[pt.Name]
		if !ok {
			all = append(all, difference{path, fmt.Sprintf("no PIN type %q", pt.Name)})
			continue
		}
		delete(was, pt.Name)
		if old.MaxAttempts != pt.MaxAttempts {
			all = append(all, difference{path + ".maxAttempts", fmt.Sprint(old.MaxAttempts)})
		}
		if !slices.Equal(old.LockDurations, pt.LockDurations) {
			all = append(all, difference{path + ".lockDurations", list(old.LockDurations)})
		}
	}
	for name := range was {
		all = append(all, difference{".pinTypes", fmt.Sprintf("the PIN type %q", name)})
	}
	slices.SortStableFunc(all, func(a, b difference) int { return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(a.was, b.was)) })
	return all
}

func list(durations []time.Duration) string {
	s := "["
	for i, d := range durations {
		if i > 0 {
			s += ", "
		}
		s += short(d)
	}
	return s + "]"
}
