package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/consumer/letters"
)

// letterFilter are the flags that choose dead letters.
type letterFilter struct {
	reasons, tenants, families, sequences []string
	since, until                          string
	all                                   bool

	given *pflag.FlagSet // that they are among; nil where there are none
}

func (lf *letterFilter) flags(f *pflag.FlagSet) {
	lf.given = f
	f.StringSliceVar(&lf.sequences, "sequence", nil, "only the events with these `sequence`s in the event stream")
	f.StringSliceVar(&lf.reasons, "reason", nil, "only these `reason`s, such as late or unknown-tenant")
	f.StringSliceVar(&lf.tenants, "tenant", nil, "only events on subjects of these `tenant`s")
	f.StringSliceVar(&lf.families, "family", nil, "only events on subjects of these `families`: sms, voice, code, attempt, account")
	f.StringVar(&lf.since, "since", "", "only letters written since a `time`: RFC 3339, or how long ago, as 90m or 24h")
	f.StringVar(&lf.until, "until", "", "only letters written before a `time`")
}

// filter reads the flags, and sequences that are given as arguments.
func (lf *letterFilter) filter(args []string, now time.Time) (*letters.Filter, error) {
	if err := lf.nonempty(); err != nil {
		return nil, err
	}
	f := &letters.Filter{Tenants: lf.tenants, Families: lf.families}
	for _, reason := range lf.reasons {
		f.Reasons = append(f.Reasons, event.Reason(reason))
	}
	for _, text := range append(lf.sequences, args...) {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("%q is no sequence of an event", text)
		}
		f.Sequences = append(f.Sequences, n)
	}
	var err error
	if f.Since, err = moment(lf.since, now); err != nil {
		return nil, fmt.Errorf("--since: %w", err)
	}
	if f.Until, err = moment(lf.until, now); err != nil {
		return nil, fmt.Errorf("--until: %w", err)
	}
	if !f.Until.IsZero() && !f.Since.Before(f.Until) {
		return nil, errors.New("--since is not before --until")
	}
	return f, nil
}

// nonempty refuses a flag that is given without a value, as by a variable that is not set: it
// would choose all where some were meant.
func (lf *letterFilter) nonempty() error {
	if lf.given == nil {
		return nil
	}
	for name, values := range map[string][]string{
		"sequence": lf.sequences, "reason": lf.reasons, "tenant": lf.tenants, "family": lf.families,
		"since": {lf.since}, "until": {lf.until},
	} {
		if lf.given.Changed(name) && (len(values) == 0 || slices.Contains(values, "")) {
			return fmt.Errorf("--%s is empty", name)
		}
	}
	return nil
}

// chosen is filter for commands that change something: nobody drops all by leaving out a flag.
func (lf *letterFilter) chosen(args []string, now time.Time) (*letters.Filter, error) {
	f, err := lf.filter(args, now)
	switch {
	case err != nil:
		return nil, err
	case f.Empty() && !lf.all:
		return nil, errors.New("which dead letters: their sequences, or flags that choose them, or --all")
	case !f.Empty() && lf.all:
		return nil, errors.New("--all: there are flags or sequences that choose some")
	}
	return f, nil
}

// moment reads a time, or how long it is ago; the zero time if there is none.
func moment(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil {
		if ago < 0 {
			return time.Time{}, fmt.Errorf("%q lies in the future: a duration says how long ago, %q", text, strings.TrimPrefix(text, "-"))
		}
		return now.Add(-ago), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is neither a time in RFC 3339 nor a duration", text)
	}
	return t, nil
}

// errFound ends a search.
var errFound = errors.New("found")

// known refuses a reason or a family that there is none of: a misspelt one must not look like
// one without dead letters. What this release does not know counts if a letter has it, which
// another release may have written.
func known(ctx context.Context, r *letters.Reader, f *letters.Filter, through uint64) error {
	occurs := func(f *letters.Filter) (bool, error) {
		err := r.Each(ctx, f, through, func(*letters.Letter) error { return errFound })
		if errors.Is(err, errFound) {
			return true, nil
		}
		return false, err
	}
	for _, reason := range f.Reasons {
		if slices.Contains(letters.Reasons(), reason) {
			continue
		}
		if found, err := occurs(&letters.Filter{Reasons: []event.Reason{reason}}); err != nil {
			return err
		} else if !found {
			return fmt.Errorf("--reason: there is no reason %q: the reasons are %s", reason, commas(letters.Reasons()))
		}
	}
	for _, family := range f.Families {
		if _, is := event.ParseFamily(family); is {
			continue
		}
		if found, err := occurs(&letters.Filter{Families: []string{family}}); err != nil {
			return err
		} else if !found {
			return fmt.Errorf("--family: there is no family %q: the families are %s", family, commas(families()))
		}
	}
	return nil
}

func families() (all []string) {
	for f := event.FamilySMS; f <= event.FamilyAccount; f++ {
		all = append(all, f.String())
	}
	return all
}

func commas[T ~string](names []T) string {
	var all []string
	for _, name := range names {
		all = append(all, string(name))
	}
	return strings.Join(all, ", ")
}

// letterTally counts the letters that a filter takes, and knows which of the sequences that the
// filter names have none.
type letterTally struct {
	counts letterCounts
	filter *letters.Filter
	left   map[uint64]bool // sequences without a letter so far
}

func newLetterTally(f *letters.Filter) *letterTally {
	t := &letterTally{counts: letterCounts{}, filter: f, left: make(map[uint64]bool, len(f.Sequences))}
	for _, sequence := range f.Sequences {
		t.left[sequence] = true
	}
	return t
}

func (t *letterTally) add(l *letters.Letter) error {
	delete(t.left, l.Sequence)
	return t.counts.add(l)
}

// missed tells of the sequences that have no letter; its error is the exit status. What was
// named beside them is done all the same, so that a command can be repeated.
func (t *letterTally) missed(out io.Writer) error {
	if len(t.left) == 0 {
		return nil
	}
	which := ""
	others := *t.filter
	if others.Sequences = nil; !others.Empty() {
		which = " that the flags choose"
	}
	for _, sequence := range slices.Sorted(maps.Keys(t.left)) {
		fmt.Fprint(out, tell(fmt.Errorf("there is no dead letter of event %d%s", sequence, which)))
	}
	return exitCode(1)
}
