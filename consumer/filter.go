package consumer

import (
	"context"
	"errors"
	"strconv"
	"time"
)

// partitionFilter is the subjects that one partition is stored under.
func partitionFilter(p int) string { return storedPrefix + strconv.Itoa(p) + ".>" }

// filterable reports whether the broker can be asked for one partition alone, from a place
// on: all that comes is stored under the partitions that are read.
func filterable(s Stream, partitions int, start uint64) bool {
	return s.Partitions == partitions && start >= s.Uniform
}

// untransformed reports whether a message behind a place is stored under the subject that it
// was published under. It belongs to partition 0, and no filter finds it along with the
// others: a list of filters makes the broker walk through every message. The broker knows
// the newest one by its index of subjects, so that to ask costs as good as nothing where, as
// a rule, there is none.
func (a *api) untransformed(ctx context.Context, after uint64) (bool, error) {
	m, err := a.last(ctx, eventSubjects)
	if err != nil {
		return false, err
	}
	return m != nil && m.Sequence > after, nil
}

// filter is what a reading of one partition from a place on can ask the broker for; empty if
// it has to read everything.
func (a *api) filter(ctx context.Context, s Stream, partitions, p int, from uint64) (string, error) {
	if !filterable(s, partitions, from+1) {
		return "", nil
	}
	if p == 0 {
		odd, err := a.untransformed(ctx, from)
		if err != nil || odd {
			return "", err
		}
	}
	return partitionFilter(p), nil
}

// refilter is how often a reading of everything on behalf of some looks whether the broker
// can be asked for those alone by now.
const refilter = time.Minute

// errOtherwise ends a reading that can go on in a better way.
var errOtherwise = errors.New("the partitions are better read one by one")

// awaitFilter waits until a lane that has to read everything can go on by filters, and then
// ends its reading.
func (l *lane) awaitFilter(ctx context.Context, r *reader, stop context.CancelCauseFunc) {
	tick := time.NewTicker(jitter(l.c.opts.refilter))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		place, partitions := r.place.load().Sequence, l.assignment.Partitions
		found := filterable(r.stream, partitions, place+1)
		if found && l.one() {
			filter, err := l.c.api.filter(ctx, r.stream, partitions, l.assignment.Own[0], place)
			found = err == nil && filter != ""
		}
		if found {
			stop(&restart{reasonOtherwise, errOtherwise})
			return
		}
	}
}
