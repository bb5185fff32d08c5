package openapi

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// exampleWidth is how wide an object or a list of an example may be that stands on one
// line, in characters.
const exampleWidth = 92

// jsonText is a value as JSON for people: members in their order, short objects and lists
// on one line.
func jsonText(n node, indent string) string {
	if !n.exists() {
		return ""
	}
	if line := jsonLine(n); n.Kind == yaml.ScalarNode || utf8.RuneCountInString(indent+line) <= exampleWidth && !nested(n) {
		return line
	}
	inner := indent + "  "
	var parts []string
	open, end := "[", "]"
	if n.Kind == yaml.MappingNode {
		open, end = "{", "}"
		for name, value := range n.members() {
			parts = append(parts, inner+quoted(name)+": "+jsonText(value, inner))
		}
	} else {
		for _, item := range n.items() {
			parts = append(parts, inner+jsonText(item, inner))
		}
	}
	return open + "\n" + strings.Join(parts, ",\n") + "\n" + indent + end
}

// nested reports whether an object or a list has objects in it.
func nested(n node) bool {
	for _, c := range n.Content {
		if c.Kind == yaml.MappingNode || nested(node{n.root, c}) {
			return true
		}
	}
	return false
}

// jsonLine is a value as JSON on one line.
func jsonLine(n node) string {
	switch n.Kind {
	case yaml.MappingNode:
		var parts []string
		for name, value := range n.members() {
			parts = append(parts, quoted(name)+": "+jsonLine(value))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case yaml.SequenceNode:
		var parts []string
		for _, item := range n.items() {
			parts = append(parts, jsonLine(item))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	if n.ShortTag() == "!!str" {
		return quoted(n.Value)
	}
	return n.Value // a number, true, false or null: YAML writes them as JSON does
}

func quoted(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return `""` // never: a string has a form in JSON
	}
	return strings.TrimSuffix(b.String(), "\n")
}
