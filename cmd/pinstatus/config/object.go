package config

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// object is a mapping whose members are being read.
type object struct {
	*reader
	node
	members map[string]node
	order   []string // of members, as written
	asked   []string // names of the members that there may be
}

// object reads the names of a mapping; one without members if n is none.
func (r *reader) object(n node, what string) *object {
	o := &object{reader: r, node: n, members: map[string]node{}}
	if v := resolve(n.value); tag(v) == "!!map" {
		o.take(v, maxMerges)
		for _, member := range o.members {
			r.lines[member.path] = member.line
		}
	} else {
		r.wrong(n, what)
	}
	return o
}

// maxMerges is how deep mappings may bring in one another: no cycle is followed further.
const maxMerges = 10

// take adds the members of m; those that a merge key (<<) brings in give way to others.
func (o *object) take(m *yaml.Node, merges int) {
	var merged []node
	for i := 0; i+1 < len(m.Content); i += 2 {
		key, value := m.Content[i], m.Content[i+1]
		name := key.Value
		n := node{value: value, path: strings.TrimPrefix(o.path+"."+name, "."), line: key.Line}
		switch first, ok := o.members[name]; {
		case key.Kind != yaml.ScalarNode:
			o.addLine(key.Line, o.path, "the name of a member must be a text, not %s", describe(resolve(key)))
		case key.Tag == "!!merge":
			merged = append(merged, n)
		case ok:
			o.addLine(key.Line, n.path, "is given twice, first on line %d", first.line)
		default:
			o.members[name] = n
			o.order = append(o.order, name)
		}
	}
	for _, n := range merged {
		o.merge(n, merges)
	}
}

// merge adds what a merge key brings in: the members of a mapping, or of a list of them.
func (o *object) merge(n node, merges int) {
	from := []*yaml.Node{n.value}
	if v := resolve(n.value); tag(v) == "!!seq" {
		from = v.Content
	}
	for _, v := range from {
		v = resolve(v)
		if tag(v) != "!!map" || merges == 0 {
			o.addLine(n.line, n.path, "must name the anchor of a mapping that does not hold it")
			return
		}
		other := &object{reader: o.reader, node: o.node, members: map[string]node{}}
		other.take(v, merges-1)
		for _, name := range other.order {
			if _, ok := o.members[name]; !ok {
				o.members[name] = other.members[name]
				o.order = append(o.order, name)
			}
		}
	}
}

// member is the value of a member; false if it was left out.
func (o *object) member(name string) (node, bool) {
	o.asked = append(o.asked, name)
	n, ok := o.members[name]
	return n, ok
}

// end reports the members that were not asked for.
func (o *object) end() {
	for _, name := range o.order {
		if slices.Contains(o.asked, name) {
			continue
		}
		n := o.members[name]
		switch like := Nearest(name, o.asked); {
		case like != "":
			o.addLine(n.line, n.path, "unknown member: did you mean %q?", like)
		default:
			o.addLine(n.line, n.path, "unknown member, none of: %s", strings.Join(o.asked, ", "))
		}
	}
}

// list reads the values of a list.
func (r *reader) list(n node, what string) []node {
	v := resolve(n.value)
	if tag(v) != "!!seq" {
		r.wrong(n, what)
		return nil
	}
	items := make([]node, len(v.Content))
	for i, item := range v.Content {
		items[i] = node{value: item, path: fmt.Sprintf("%s[%d]", n.path, i), line: item.Line}
		r.lines[items[i].path] = items[i].line
	}
	return items
}
