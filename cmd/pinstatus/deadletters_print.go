package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/consumer/letters"
)

// letterCounts are dead letters by reason.
type letterCounts map[event.Reason]uint64

func (c letterCounts) add(l *letters.Letter) error { c[l.Reason]++; return nil }

func (c letterCounts) total() (n uint64) {
	for _, letters := range c {
		n += letters
	}
	return n
}

func (c letterCounts) String() string {
	text := fmt.Sprintf("%d dead letter", c.total())
	if c.total() != 1 {
		text += "s"
	}
	separator := ": "
	for _, reason := range slices.Sorted(maps.Keys(c)) {
		text += fmt.Sprintf("%s%s %d", separator, printable(string(reason)), c[reason])
		separator = ", "
	}
	return text
}

// letterJSON is a dead letter as it is printed in JSON.
type letterJSON struct {
	Sequence uint64    `json:"sequence"`
	Place    uint64    `json:"place"` // sequence among the dead letters
	Stored   time.Time `json:"stored"`
	Reason   string    `json:"reason"`
	Detail   string    `json:"detail"`
	Family   string    `json:"family"`
	Tenant   string    `json:"tenant"`
	Subject  string    `json:"subject"`
	Size     int       `json:"size"` // of the payload, bytes

	Header      nats.Header     `json:"header,omitempty"`
	HeaderWhole *bool           `json:"headerWhole,omitempty"`
	Payload     json.RawMessage `json:"payload,omitempty"`       // if it is JSON
	Bytes       []byte          `json:"payloadBase64,omitempty"` // if it is not
}

func newLetterJSON(l *letters.Letter) *letterJSON {
	return &letterJSON{
		Sequence: l.Sequence, Place: l.Place, Stored: l.Stored.UTC(), Reason: string(l.Reason), Detail: l.Detail,
		Family: l.Family, Tenant: l.Tenant, Subject: l.Subject, Size: len(l.Payload),
	}
}

// letterList prints dead letters as they come.
type letterList struct {
	out, errOut io.Writer
	json        *json.Encoder // nil for a table
	table       *tabwriter.Writer
	limit       uint64 // 0 for none
	listed      uint64
	*letterTally
}

// Columns are aligned over so many lines.
const alignedLines = 500

func newLetterList(out, errOut io.Writer, f *letters.Filter, asJSON bool, limit uint64) *letterList {
	list := &letterList{out: out, errOut: errOut, limit: limit, letterTally: newLetterTally(f)}
	if asJSON {
		list.json = json.NewEncoder(out)
	} else {
		list.table = tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	}
	return list
}

func (t *letterList) add(l *letters.Letter) error {
	if err := t.letterTally.add(l); err != nil {
		return err
	}
	if t.limit > 0 && t.listed >= t.limit {
		return nil
	}
	t.listed++
	if t.json != nil {
		return t.json.Encode(newLetterJSON(l))
	}
	if t.listed == 1 {
		fmt.Fprintln(t.table, "SEQUENCE\tSTORED\tREASON\tFAMILY\tTENANT\tKEY\tDETAIL")
	}
	fmt.Fprintf(t.table, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Sequence, l.Stored.UTC().Format(time.RFC3339),
		printable(string(l.Reason)), printable(l.Family), printable(l.Tenant), printable(keyOf(l.Subject)), printable(l.Detail))
	if t.listed%alignedLines == 0 {
		return t.flush()
	}
	return nil
}

func (t *letterList) flush() error {
	if t.table == nil {
		return nil
	}
	return t.table.Flush()
}

func (t *letterList) end() error {
	if err := t.flush(); err != nil {
		return err
	}
	if more := t.counts.total() - t.listed; more > 0 {
		fmt.Fprintf(t.errOut, "%d more: --limit 0 lists all\n", more)
	}
	if t.json != nil {
		return nil
	}
	if t.listed > 0 {
		fmt.Fprintln(t.out)
	}
	_, err := fmt.Fprintln(t.out, t.counts)
	return err
}

// keyOf is the id that a subject's key stands for, or what stands in its place.
func keyOf(subject string) string {
	if s, err := event.ParseSubject(subject); err == nil {
		if id, err := event.UnescapeToken(s.Key); err == nil {
			return id
		}
	}
	tokens := strings.SplitN(strings.TrimPrefix(subject, event.SubjectPrefix+"."), ".", 3)
	if len(tokens) < 3 {
		return "-"
	}
	return tokens[2]
}

func showJSON(out io.Writer, l *letters.Letter) error {
	shown := newLetterJSON(l)
	header, whole := l.Header()
	shown.Header, shown.HeaderWhole = header, &whole
	if json.Valid(l.Payload) && utf8.Valid(l.Payload) {
		shown.Payload = l.Payload
	} else {
		shown.Bytes = l.Payload
	}
	return json.NewEncoder(out).Encode(shown)
}

func showText(out io.Writer, l *letters.Letter) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "sequence  %d\nplace     %d in %s\nstored    %s\nreason    %s\ndetail    %s\nsubject   %s\n\n", l.Sequence, l.Place,
		consumer.DeadLetterStream, l.Stored.UTC().Format(time.RFC3339Nano), printable(string(l.Reason)), printable(l.Detail), printable(l.Subject))
	header, whole := l.Header()
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, value := range header[name] {
			fmt.Fprintf(&b, "%s: %s\n", printable(name), printable(value))
		}
	}
	if !whole {
		b.WriteString("(the header is malformed or was too large: this is not all of it)\n")
	}
	if len(header) > 0 || !whole {
		b.WriteByte('\n')
	}
	b.WriteString(payloadText(l.Payload) + "\n")
	_, err := out.Write(b.Bytes())
	return err
}

// payloadText is a payload for a terminal: indented if it is JSON, and without anything that
// a terminal would obey.
func payloadText(payload []byte) string {
	var indented bytes.Buffer
	if utf8.Valid(payload) && json.Indent(&indented, payload, "", "  ") == nil {
		payload = indented.Bytes()
	}
	lines := strings.Split(string(payload), "\n")
	for i, line := range lines {
		lines[i] = printable(strings.TrimSuffix(line, "\r"))
	}
	return strings.Join(lines, "\n")
}

// printable is text that an event's publisher wrote, safe to be printed on a terminal.
func printable(s string) string {
	unsafe := func(r rune) bool {
		return r == utf8.RuneError || r != ' ' && !unicode.IsGraphic(r) || unicode.Is(unicode.Cf, r)
	}
	if !strings.ContainsFunc(s, unsafe) {
		return s
	}
	quoted := strconv.QuoteToGraphic(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// replayPrinter prints what becomes of dead letters, as it comes to be known.
type replayPrinter struct {
	out    io.Writer
	json   *json.Encoder // nil for text
	wait   time.Duration // that was given to the projector
	counts map[letters.Outcome]uint64
}

func newReplayPrinter(out io.Writer, wait time.Duration, asJSON bool) *replayPrinter {
	p := &replayPrinter{out: out, wait: wait, counts: map[letters.Outcome]uint64{}}
	if asJSON {
		p.json = json.NewEncoder(out)
	}
	return p
}

// replayJSON is what became of a dead letter, as it is printed in JSON.
type replayJSON struct {
	Sequence uint64          `json:"sequence"`
	Outcome  letters.Outcome `json:"outcome"`
	Replay   uint64          `json:"replay,omitempty"`  // sequence of the event published for it
	Earlier  bool            `json:"earlier,omitempty"` // by a run before
	Reason   string          `json:"reason,omitempty"`  // of the new dead letter
	Detail   string          `json:"detail,omitempty"`  // likewise
	Deleted  bool            `json:"deleted,omitempty"`
	Error    string          `json:"error,omitempty"`
}

func (p *replayPrinter) add(r *letters.Result) error {
	p.counts[r.Outcome]++
	if p.json != nil {
		shown := replayJSON{
			Sequence: r.Letter.Sequence, Outcome: r.Outcome, Replay: r.Replay, Earlier: r.Earlier, Deleted: r.Gone,
		}
		if r.Return != nil {
			shown.Reason, shown.Detail = string(r.Return.Reason), r.Return.Detail
		}
		if r.Err != nil {
			shown.Error = explainWait(r.Err, p.wait).Error()
		}
		return p.json.Encode(shown)
	}
	text := fmt.Sprintf("%d: %s", r.Letter.Sequence, r.Outcome)
	switch {
	case r.Outcome == letters.Replaced:
		text += fmt.Sprintf(" by %d", r.Replay)
	case r.Replay != 0:
		text += fmt.Sprintf(" as %d", r.Replay)
	}
	if r.Earlier {
		text += ", published by an earlier run"
	}
	if r.Return != nil {
		text += fmt.Sprintf(": %s (%s)", printable(string(r.Return.Reason)), printable(r.Return.Detail))
	}
	if r.Err != nil {
		text += ": " + explainWait(r.Err, p.wait).Error()
	}
	_, err := fmt.Fprintln(p.out, text)
	return err
}

// end prints the counts; its error is the exit status.
func (p *replayPrinter) end() error {
	if p.json == nil {
		var all []string
		for _, outcome := range slices.Sorted(maps.Keys(p.counts)) {
			all = append(all, fmt.Sprintf("%s %d", outcome, p.counts[outcome]))
		}
		if all != nil {
			if _, err := fmt.Fprintln(p.out, strings.Join(all, ", ")); err != nil {
				return err
			}
		}
	}
	for outcome := range p.counts {
		switch outcome {
		case letters.Accepted, letters.Replaced, letters.WouldSend:
		default:
			return exitCode(1)
		}
	}
	return nil
}

func printDropped(out io.Writer, dropped uint64, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(map[string]uint64{"dropped": dropped})
	}
	_, err := fmt.Fprintf(out, "dropped %d\n", dropped)
	return err
}
