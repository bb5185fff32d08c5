package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Error is one thing that is wrong with a configuration.
type Error struct {
	File    string // empty if the configuration was not read from a file
	Line    int    // from 1; 0 if there is no file
	Path    string // of the member, like tenants[0].pinTypes[1].maxAttempts; empty for the whole file
	Message string
}

func (p *Error) Error() string {
	var b strings.Builder
	if p.File != "" {
		fmt.Fprintf(&b, "%s:%d: ", p.File, p.Line)
	}
	if p.Path != "" {
		b.WriteString(p.Path)
		b.WriteString(": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// problems collects what is wrong, and knows the line of every member of the file.
type problems struct {
	file   string
	lines  map[string]int // by member path
	found  []*Error
	unread []string // paths of members whose value could not be read
	fatal  bool     // the file is not YAML: nothing can be said of its members
}

func newProblems(file string) *problems {
	return &problems{file: file, lines: map[string]int{}}
}

// add reports that the value of a member is wrong. A member that could not be read gets
// no second problem for being empty, nor does what holds it or lies in it.
func (p *problems) add(path, format string, args ...any) {
	if !p.broken(path) {
		p.addLine(p.line(path), path, format, args...)
	}
}

func (p *problems) addLine(line int, path, format string, args ...any) {
	p.found = append(p.found, &Error{File: p.file, Line: line, Path: path, Message: fmt.Sprintf(format, args...)})
}

// broken reports whether the member could not be read, or one that holds it, or one in it.
func (p *problems) broken(path string) bool {
	return slices.ContainsFunc(p.unread, func(q string) bool {
		return within(path, q) || within(q, path)
	})
}

// within reports whether path is the member outer or lies in it.
func within(path, outer string) bool {
	rest, ok := strings.CutPrefix(path, outer)
	return ok && (outer == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
}

// line is where the member stands, or the innermost one around it that does.
func (p *problems) line(path string) int {
	for ; path != ""; path = path[:max(0, strings.LastIndexAny(path, ".["))] {
		if line, ok := p.lines[path]; ok {
			return line
		}
	}
	return min(1, len(p.file)) // the file's first line, if there is a file
}

// where names the place of another member in a message.
func (p *problems) where(path string) string {
	if line, ok := p.lines[path]; ok {
		return fmt.Sprintf("%s (line %d)", path, line)
	}
	return path
}

// err joins the problems in the order of the file; nil if there are none.
func (p *problems) err() error {
	slices.SortStableFunc(p.found, func(a, b *Error) int { return cmp.Compare(a.Line, b.Line) })
	errs := make([]error, len(p.found))
	for i, q := range p.found {
		errs[i] = q
	}
	return errors.Join(errs...)
}
