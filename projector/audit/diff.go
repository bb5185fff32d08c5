package audit

import (
	"bytes"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/view"
)

// verdict is what the comparison of one view came to.
type verdict uint8

const (
	same      verdict = iota
	sameShown         // erased or deleted: what is shown is equal, and the events are not all there any more
	ended             // its life is over: one side has forgotten it
	different
)

// compare holds what is stored against what the fold says; nil stands for no view. now is the
// store's clock, clock the time up to which the fold has forgotten what ended, both in Unix
// nanoseconds; purged says that events of erased keys may be gone. The Difference says what differs; who asked adds where.
func compare(k view.Key, want, got []byte, now, clock int64, purged bool) (verdict, *Difference) {
	if bytes.Equal(want, got) && (want == nil) == (got == nil) {
		return same, nil
	}
	w, werr := parse(k.Kind, want)
	g, gerr := parse(k.Kind, got)
	switch {
	case werr != nil: // what the fold has just written
		return different, &Difference{Problem: Unreadable, Detail: "what the fold made of the stream: " + werr.Error()}
	case gerr != nil:
		return different, &Difference{Problem: Unreadable, Detail: gerr.Error()}
	case got == nil && w.expiresAt != 0 && w.expiresAt <= now:
		return ended, nil
	case want == nil && g.expiresAt != 0 && g.expiresAt <= clock:
		return ended, nil
	case got == nil:
		return different, &Difference{Problem: Missing, Fields: fields(w.shown, nil)}
	case want == nil:
		return different, &Difference{Problem: Extra, Fields: fields(nil, g.shown)}
	}
	shown := fields(w.shown, g.shown)
	if purged && w.mark != 0 && w.mark == g.mark && onlySequence(shown) {
		return sameShown, nil
	}
	if len(shown) > 0 {
		return different, &Difference{Problem: Differs, Fields: shown}
	}
	return different, &Difference{Problem: Internal, Detail: fmt.Sprintf("%d bytes wanted, %d stored", len(want), len(got))}
}

// onlySequence reports whether nothing differs but the sequence of the last change: of an
// erasure that found nothing any more it is not the erasure's.
func onlySequence(d []Field) bool {
	return len(d) == 0 || len(d) == 1 && d[0].Path == "Sequence"
}

// parsed is what a comparison needs of a view's stored form.
type parsed struct {
	shown     any   // the view
	expiresAt int64 // Unix nanoseconds; 0 never
	mark      int64 // effective time of the erasure or deletion; 0 if there is none
}

func parse(kind view.Kind, stored []byte) (parsed, error) {
	if stored == nil {
		return parsed{}, nil
	}
	if kind == view.KindPIN {
		c, err := fold.ParseCode(stored)
		if err != nil {
			return parsed{}, err
		}
		return parsed{shown: c.View(), expiresAt: c.ExpiresAt(), mark: c.ErasedAt()}, nil
	}
	a, err := fold.ParseAccount(stored)
	if err != nil {
		return parsed{}, err
	}
	return parsed{shown: a.View(), expiresAt: a.ExpiresAt(), mark: a.DeletedAt()}, nil
}

// fields are the members in which two views differ; all of them where one is nil.
func fields(want, got any) []Field {
	w, g := flatten(want), flatten(got)
	var all []Field
	for _, l := range w.lines {
		if other := g.values[l]; other != w.values[l] {
			all = append(all, Field{Path: l, Want: w.values[l], Got: other})
		}
	}
	for _, l := range g.lines {
		if _, ok := w.values[l]; !ok {
			all = append(all, Field{Path: l, Got: g.values[l]})
		}
	}
	return all
}

// flat is a view as lines of path and value, in the order of its members.
type flat struct {
	lines  []string
	values map[string]string
}

func flatten(v any) *flat {
	f := &flat{values: map[string]string{}}
	if v != nil {
		f.add("", reflect.ValueOf(v))
	}
	return f
}

func (f *flat) add(path string, v reflect.Value) {
	if s, ok := v.Interface().(fmt.Stringer); ok {
		f.set(path, s.String())
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			if path != "" {
				name = path + "." + name
			}
			f.add(name, v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			f.add(path+"["+elementName(v.Index(i), i)+"]", v.Index(i))
		}
	case reflect.String:
		f.set(path, v.String())
	case reflect.Int64:
		f.set(path, number(path, v.Int()))
	default:
		f.set(path, fmt.Sprint(v.Interface()))
	}
}

// set keeps a value unless it is none.
func (f *flat) set(path, value string) {
	if value == "" || value == "0" || value == "false" {
		return
	}
	f.lines = append(f.lines, path)
	f.values[path] = value
}

// elementName is how an element of a list is known: by what it is of, where it is of
// something, so that one that is missing does not make all behind it differ.
func elementName(v reflect.Value, i int) string {
	switch e := v.Interface().(type) {
	case view.Entry:
		return e.Channel.String() + " " + e.ID
	case view.PIN:
		return e.Type
	}
	return strconv.Itoa(i)
}

// number is a time where the member's name says so, and otherwise the number.
func number(path string, n int64) string {
	name := path[strings.LastIndexByte(path, '.')+1:]
	switch {
	case n == 0, n == event.Absent:
		return ""
	case strings.HasSuffix(name, "At"), name == "LockStart", name == "LockEnd", name == "LastSuccess":
		return time.Unix(0, n).UTC().Format(time.RFC3339Nano)
	case name == "LockCap":
		return time.Duration(n).String()
	}
	return strconv.FormatInt(n, 10)
}
