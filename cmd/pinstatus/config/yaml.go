package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// node is one value of the file, and the path of the member that it is the value of.
type node struct {
	value *yaml.Node
	path  string
	line  int
}

// reader turns the file's nodes into Go values, and what does not fit into problems.
type reader struct {
	*problems
}

// parseYAML reads the one document of a file. After false a problem says why there is
// none.
func (r *reader) parseYAML(text []byte) (node, bool) {
	fail := func(line int, format string, args ...any) (node, bool) {
		r.fatal = true
		r.addLine(line, "", format, args...)
		return node{}, false
	}
	if !utf8.Valid(text) {
		good := strings.ToValidUTF8(string(text), "\x00")
		return fail(1+strings.Count(good[:strings.IndexByte(good, 0)], "\n"), "is not UTF-8 text")
	}
	loader, err := yaml.NewLoader(bytes.NewReader(text))
	if err != nil {
		return fail(1, "not YAML: %v", err)
	}
	var first, second yaml.Node
	switch err := loader.Load(&first); {
	case errors.Is(err, io.EOF) || err == nil && len(first.Content) == 0:
		return fail(1, `is empty: it must hold "tenants:" with at least one tenant`)
	case err != nil:
		line, message := syntax(text, err)
		return fail(line, "not YAML: %s", message)
	}
	switch err := loader.Load(&second); {
	case errors.Is(err, io.EOF):
		return node{value: first.Content[0], line: first.Content[0].Line}, true
	case err != nil:
		line, message := syntax(text, err)
		return fail(line, "not YAML: %s", message)
	}
	return fail(second.Line, "a second document: the configuration is one document")
}

// syntax is the line of a syntax error, and what is wrong there. To the parser, a text
// that ends too early may end on the line after its last.
func syntax(text []byte, err error) (int, string) {
	var e *yaml.LoadError
	if !errors.As(err, &e) {
		return 1, err.Error()
	}
	message := e.Message
	if e.ContextMsg != "" && e.ContextMark.Line > 0 {
		message = fmt.Sprintf("%s, %s that begins on line %d", message, e.ContextMsg, e.ContextMark.Line)
	}
	last := 1 + bytes.Count(text, []byte("\n"))
	return min(max(1, e.Mark.Line), last), message
}

// resolve follows an alias to the value that it stands for.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// tag is the type that YAML gives a value, like !!str; empty if the file itself names a
// type, of which none is taken.
func tag(n *yaml.Node) string {
	if n.Style&yaml.TaggedStyle != 0 {
		return ""
	}
	return n.ShortTag()
}

// wrong reports that a value is not what it must be, and that it was not read.
func (r *reader) wrong(n node, must string) {
	v := resolve(n.value)
	switch tag(v) {
	case "!!null":
		r.addLine(n.line, n.path, "has no value: give one, or leave the member out")
	case "":
		r.addLine(n.line, n.path, "must be %s, without the tag %s", must, v.Tag)
	default:
		r.addLine(n.line, n.path, "must be %s, not %s", must, describe(v))
	}
	r.unread = append(r.unread, n.path)
}

// describe names what a value is, and quotes it if it is short.
func describe(n *yaml.Node) string {
	short := len(n.Value) <= 40
	switch tag(n) {
	case "!!seq":
		return "a list"
	case "!!map":
		return "a mapping"
	case "!!bool":
		return n.Value
	case "!!int", "!!float":
		if short {
			return "the number " + n.Value
		}
		return "a long number"
	case "!!timestamp":
		return "the date " + n.Value
	}
	if short {
		return fmt.Sprintf("the text %q", n.Value)
	}
	return "a long text"
}
