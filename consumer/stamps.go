package consumer

import (
	"context"
	"sync"
)

// keptStamps is how many timestamps are remembered. Lanes that are idle at the same time
// ask for few.
const keptStamps = 64

// stamps looks up the broker's timestamps of sequences, each once for all lanes that come to
// it at about the same time.
type stamps struct {
	api *api

	mu    sync.Mutex
	known map[stampKey]*stamp
	order []stampKey // oldest first
}

// A stream that was made anew uses its sequences again.
type stampKey struct {
	created  int64
	sequence uint64
}

type stamp struct {
	mu    sync.Mutex // held while it is looked up
	found bool
	at    int64
}

// at is the timestamp of a message, 0 if the stream does not hold it.
func (s *stamps) at(ctx context.Context, created int64, sequence uint64) (int64, error) {
	st := s.entry(stampKey{created, sequence})
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.found {
		return st.at, nil
	}
	at, _, err := s.api.received(ctx, sequence)
	if err != nil {
		return 0, err
	}
	st.at, st.found = at, true
	return at, nil
}

func (s *stamps) entry(key stampKey) *stamp {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st, ok := s.known[key]; ok {
		return st
	}
	if s.known == nil {
		s.known = map[stampKey]*stamp{}
	}
	if len(s.order) == keptStamps {
		delete(s.known, s.order[0])
		s.order = s.order[1:]
	}
	st := &stamp{}
	s.known[key] = st
	s.order = append(s.order, key)
	return st
}
