package publish

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// Result is what became of one event, as it is printed in JSON.
type Result struct {
	Line      int    `json:"line,omitempty"` // of the input, from 1
	Type      string `json:"type,omitempty"`
	ID        string `json:"id,omitempty"`
	Source    string `json:"source,omitempty"`
	Subject   string `json:"subject,omitempty"`
	Stream    string `json:"stream,omitempty"`
	Sequence  uint64 `json:"sequence,omitempty"`
	Duplicate bool   `json:"duplicate,omitempty"` // the broker had it already, at Sequence
	Error     string `json:"error,omitempty"`     // why it was not published
}

func newResult(line int, e *event.Event, a Ack) Result {
	r := Result{Line: line, Type: e.Type.String(), ID: e.ID, Source: e.Source, Subject: e.Subject()}
	if a.Err != nil {
		r.Error = fmt.Sprintf("not published: %v", a.Err)
		return r
	}
	r.Stream, r.Sequence, r.Duplicate = a.Stream, a.Sequence, a.Duplicate
	return r
}

// printer prints results as they come, from several goroutines.
type printer struct {
	out, errOut io.Writer
	json, quiet bool

	mu  sync.Mutex
	err error // the first that printing gave
}

func (p *printer) print(r Result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Error != "" {
		p.keep(fmt.Fprintf(p.errOut, "%s%s\n", r.place(), r.Error))
	}
	switch {
	case p.json:
		p.keep(0, json.NewEncoder(p.out).Encode(r))
	case r.Error != "" || p.quiet:
	case r.Duplicate:
		p.keep(fmt.Fprintf(p.out, "%srepeat of sequence %d\n", r.place(), r.Sequence))
	default:
		p.keep(fmt.Fprintf(p.out, "%ssequence %d\n", r.place(), r.Sequence))
	}
}

func (p *printer) keep(_ int, err error) {
	if p.err == nil {
		p.err = err
	}
}

// failed is the first error of printing.
func (p *printer) failed() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// place begins a line of text with where in the input, or on what subject, the event is.
func (r *Result) place() string {
	switch {
	case r.Line > 0:
		return fmt.Sprintf("line %d: ", r.Line)
	case r.Subject != "":
		return r.Subject + ": "
	}
	return ""
}
