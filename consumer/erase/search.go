package erase

import (
	"bytes"
	"context"
	"fmt"

	"github.com/pinstatus/pinstatus/consumer/internal/leader"
	"github.com/pinstatus/pinstatus/consumer/letters"
)

// found is what the streams hold of one key.
type found struct {
	events  []uint64 // sequences in the event stream
	letters []uint64 // places among the dead letters
}

// search looks for what the streams hold of each key: what was published before its erasing
// event. Afterwards nothing can join it.
func (e *Eraser) search(ctx context.Context, results []Result) ([]found, error) {
	all := make([]found, len(results))
	for i := range results {
		r := &results[i]
		for _, filter := range r.filters() {
			err := e.events.Each(ctx, filter, 1, r.Sequence-1, func(m *leader.Message) error {
				all[i].events = append(all[i].events, m.Sequence)
				return nil
			})
			if err != nil {
				return nil, fmt.Errorf("look for events: %w", err)
			}
		}
	}
	if err := e.searchLetters(ctx, results, all); err != nil {
		return nil, fmt.Errorf("look for dead letters: %w", err)
	}
	return all, nil
}

// searchLetters adds the dead letters, and of each the event behind it, which may have been
// published on another subject than the key's.
func (e *Eraser) searchLetters(ctx context.Context, results []Result, all []found) error {
	info, err := e.events.Info(ctx)
	if err != nil {
		return err
	}
	through, err := e.letters.Last(ctx)
	if err != nil {
		return err
	}
	index, wanted := map[Key]int{}, keys{}
	taken := map[uint64]bool{} // events, whichever key they are of
	for i := range results {
		index[results[i].Key], wanted[results[i].Key] = i, true
		for _, sequence := range all[i].events {
			taken[sequence] = true
		}
	}
	return e.letters.Each(ctx, &letters.Filter{}, through, func(l *letters.Letter) error {
		// Of a stream that this one has replaced, sequences say nothing.
		before := l.Stored.Before(info.Created)
		for _, k := range wanted.in(l) {
			i := index[k]
			if !before && l.Sequence >= results[i].Sequence {
				continue
			}
			if !before && !taken[l.Sequence] {
				m, err := e.events.At(ctx, l.Sequence)
				if err != nil {
					return err
				}
				if m != nil && bytes.Equal(m.Data, l.Payload) {
					taken[l.Sequence] = true
					all[i].events = append(all[i].events, l.Sequence)
				}
			}
			all[i].letters = append(all[i].letters, l.Place)
			break // one letter, one key
		}
		return nil
	})
}

// delete deletes what was found, and writes over it on disk. The letters come last: it is
// they that lead to events on other subjects, if this is interrupted and done again.
//
// That takes the broker some milliseconds for each. To purge them by their subject would be
// faster, and leave the bytes on disk until it compacts the file.
func (e *Eraser) delete(ctx context.Context, results []Result, all []found, tell func(Progress)) error {
	var events, done, of uint64
	for i := range all {
		events += uint64(len(all[i].events))
		of += uint64(len(all[i].events) + len(all[i].letters))
	}
	if events > 0 {
		if err := e.opts.Account(ctx, events); err != nil {
			return fmt.Errorf("account for the events that are to be deleted: %w", err)
		}
	}
	each := func(sequences []uint64, from func(context.Context, uint64, bool) (bool, error), n *uint64) error {
		for _, sequence := range sequences {
			tell(Progress{Step: Deleting, Done: done, Of: of})
			deleted, tries := false, 0
			err := e.opts.Try(ctx, func() (err error) {
				tries++
				deleted, err = from(ctx, sequence, true)
				return err
			})
			if err != nil {
				return err
			}
			if deleted || tries > 1 { // an earlier try may have, though its answer was lost
				*n++
			}
			done++
		}
		return nil
	}
	for i := range results {
		if err := each(all[i].events, e.events.Delete, &results[i].Events); err != nil {
			return err
		}
	}
	for i := range results {
		if err := each(all[i].letters, e.letters.Delete, &results[i].Letters); err != nil {
			return err
		}
	}
	tell(Progress{Step: Deleting, Done: done, Of: of})
	return nil
}
