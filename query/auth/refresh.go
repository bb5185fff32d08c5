package auth

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Run fetches issuers' keys until ctx ends: at once for sources that are new, then about
// every RefreshInterval, sooner after a failure or where a token names an unknown key. It
// also tells the log of API keys that expire soon, and of what the audit log leaves out.
func (a *Authenticator) Run(ctx context.Context) error {
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() { a.audit.run(ctx) })
	work.Go(func() { a.watchExpiry(ctx) })
	for {
		next := a.opts.RefreshInterval
		for _, src := range a.state.Load().sources {
			if src.fetch == nil {
				continue
			}
			in, start := src.start(a.opts.Now())
			if start {
				work.Go(func() { a.refresh(ctx, src) })
			}
			next = min(next, in)
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-a.due:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// wakeRun has Run look at all sources again.
func (a *Authenticator) wakeRun() {
	select {
	case a.due <- struct{}{}:
	default: // it is about to
	}
}

// start reports whether a fetch is due, and if so marks it as running; else it says in how
// long the next one is.
func (s *keySource) start(now time.Time) (in time.Duration, start bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.running:
		return fetchTimeout, false // its end wakes Run
	case now.Before(s.due):
		return s.due.Sub(now), false
	}
	s.running = true
	return fetchTimeout, true
}

func (a *Authenticator) refresh(ctx context.Context, src *keySource) {
	bounded, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	raw, err := src.fetch(bounded)
	var set *keySet
	if err == nil {
		set, err = parseKeys(raw)
	}
	switch {
	case err == nil:
		if removed := src.replace(set); removed > 0 {
			a.log.Info("keys of an issuer are gone, and their tokens refused", zap.String("source", src.name), zap.Int("keys", removed))
			a.opts.KeyRemoved(a.state.Load().tenantsOf(src))
		}
		src.fetched.Store(a.opts.Now().UnixNano())
		a.metrics.refreshes.WithLabelValues("ok").Inc()
	case ctx.Err() == nil:
		a.metrics.refreshes.WithLabelValues("error").Inc()
		fields := []zap.Field{zap.String("source", src.name), zap.Error(err)}
		if at := src.fetchedAt(); !at.IsZero() {
			fields = append(fields, zap.Time("fetched", at))
		}
		a.log.Warn("keys of an issuer cannot be fetched; those fetched before stand", fields...)
	}
	src.end(a.opts.Now(), err == nil, a.opts.RefreshInterval)
	a.wakeRun()
}

// fetchedAt is when the keys came last; zero if they never did.
func (s *keySource) fetchedAt() time.Time {
	if at := s.fetched.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

func (s *keySource) end(now time.Time, ok bool, interval time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = false
	s.tried = now
	if ok {
		s.failures = 0
		s.due = now.Add(interval/2 + rand.N(interval)) //nolint:gosec // spreads load, guards nothing
	} else {
		s.due = now.Add(min(time.Second<<min(s.failures, 16), maxBackoff))
		s.failures++
	}
	close(s.ended)
	s.ended = make(chan struct{})
}

// want asks for a fetch before its time. The channel closes when one has ended; it is nil
// if the last one was too short ago, or there is nothing to fetch.
func (s *keySource) want(now time.Time) <-chan struct{} {
	if s.fetch == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running {
		if now.Before(s.tried.Add(minRefresh)) {
			return nil
		}
		s.due = now
	}
	return s.ended
}
