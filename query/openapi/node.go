package openapi

import (
	"fmt"
	"iter"
	"strings"

	"go.yaml.in/yaml/v4"
)

// node is a part of the document, members in their order. The zero node is one that is not
// there.
type node struct {
	root *yaml.Node
	*yaml.Node
}

func parse(text []byte) (node, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return node{}, err
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return node{}, fmt.Errorf("not one document")
	}
	return node{doc.Content[0], doc.Content[0]}, nil
}

func (n node) exists() bool { return n.Node != nil }

// get is a member of an object, through as many references as there are.
func (n node) get(name string) node {
	for key, value := range n.members() {
		if key == name {
			return value
		}
	}
	return node{root: n.root}
}

// members are those of an object, in their order.
func (n node) members() iter.Seq2[string, node] {
	n = n.follow()
	return func(yield func(string, node) bool) {
		if !n.exists() || n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i].Value, node{n.root, n.Content[i+1]}) {
				return
			}
		}
	}
}

// items are those of a list.
func (n node) items() []node {
	n = n.follow()
	if !n.exists() || n.Kind != yaml.SequenceNode {
		return nil
	}
	items := make([]node, len(n.Content))
	for i, c := range n.Content {
		items[i] = node{n.root, c}
	}
	return items
}

// text is the value of a member that is one; empty if it is not.
func (n node) text(name string) string {
	if v := n.get(name); v.exists() && v.Kind == yaml.ScalarNode {
		return v.Value
	}
	return ""
}

// own is the value of a member of n itself, not of what n refers to.
func (n node) own(name string) string {
	if !n.exists() || n.Kind != yaml.MappingNode {
		return ""
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1].Value
		}
	}
	return ""
}

// reference is the last part of what n refers to; empty if n is no reference.
func (n node) reference() string {
	ref := n.own("$ref")
	return ref[strings.LastIndexByte(ref, '/')+1:]
}

// follow is what n refers to, n itself if it is no reference. No name in this document has
// a slash or a tilde, so pointers need no unescaping.
func (n node) follow() node {
	for range 10 {
		ref, ok := strings.CutPrefix(n.own("$ref"), "#/")
		if !ok {
			return n
		}
		at := node{n.root, n.root}
		for name := range strings.SplitSeq(ref, "/") {
			at = at.get(name)
		}
		n = at
	}
	return node{root: n.root}
}
