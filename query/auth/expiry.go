package auth

import (
	"context"
	"crypto/sha256"
	"time"

	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/query"
)

const (
	// expiresSoon is how long before its end the log begins to warn of an API key.
	expiresSoon = 14 * 24 * time.Hour

	// warnEvery is how often it does, for each key.
	warnEvery = 24 * time.Hour

	// lookEvery is how soon a key that is new, or used again, is warned of.
	lookEvery = time.Hour
)

// expiries are the names of a tenant's API keys, and when the last key of each name expires;
// zero if one never does.
func expiries(t *query.Tenant) map[string]time.Time {
	last := make(map[string]time.Time, len(t.APIKeys))
	for i := range t.APIKeys {
		k := &t.APIKeys[i]
		at, seen := last[k.Name]
		if !seen || k.Expires.IsZero() || !at.IsZero() && k.Expires.After(at) {
			last[k.Name] = k.Expires
		}
	}
	return last
}

// watchExpiry warns of API keys that expire soon, until ctx ends.
func (a *Authenticator) watchExpiry(ctx context.Context) {
	warned := make(map[[sha256.Size]byte]time.Time)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		a.warnExpiring(a.opts.Now(), warned)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// warnExpiring warns of every key that is about to expire and was not warned of lately. One
// that another key of its name outlives is being replaced as it should be, and is of
// interest only as long as its client uses it.
func (a *Authenticator) warnExpiring(now time.Time, warned map[[sha256.Size]byte]time.Time) {
	st := a.state.Load()
	for _, t := range st.directory.Tenants() {
		last := expiries(t)
		for i := range t.APIKeys {
			k := &t.APIKeys[i]
			soon := !k.Expires.IsZero() && now.Before(k.Expires) && k.Expires.Sub(now) <= expiresSoon
			if !soon || now.Before(warned[k.SHA256].Add(warnEvery)) {
				continue
			}
			replaced := !last[k.Name].Equal(k.Expires)
			used := st.apiKeys.find(k.SHA256).used.Swap(false)
			if replaced && !used {
				continue
			}
			warned[k.SHA256] = now
			a.log.Warn("an API key expires soon", zap.String("tenant", t.ID), zap.String("apiKey", k.Name),
				zap.Time("expires", k.Expires), zap.Bool("used", used), zap.Bool("replaced", replaced))
		}
	}
}
