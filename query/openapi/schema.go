package openapi

import (
	"html/template"
	"strings"
)

// schema is a part of the page: one of the document's named schemas.
type schema struct {
	Name        string
	Description template.HTML
	Kind        template.HTML // what it is, unless it is an object
	Members     []member
	Values      []value
}

// member is a member of an object, or a parameter, or a header.
type member struct {
	Name        string // of a member of a member with what is before it: errors[].id
	Place       string // of a parameter: path, query or header
	Kind        template.HTML
	Required    bool
	Description template.HTML
	Example     string
}

// value is one of a schema's enum.
type value struct {
	Value       string
	Description template.HTML
}

func (b *builder) schema(name string, n node) schema {
	s := schema{Name: name, Description: b.block(n.text("description")), Members: b.members(n, "")}
	if len(s.Members) == 0 {
		s.Kind = b.kind(n)
	}
	descriptions := n.get("x-enumDescriptions")
	for _, v := range n.get("enum").items() {
		s.Values = append(s.Values, value{v.Value, b.inline(descriptions.text(v.Value))})
	}
	if len(s.Values) > 0 {
		s.Kind = "one of"
	}
	return s
}

// members are those of an object, with those of objects in it that have no name.
func (b *builder) members(n node, prefix string) []member {
	var list []member
	required := make(map[string]bool)
	for _, r := range n.get("required").items() {
		required[r.Value] = true
	}
	for name, p := range n.get("properties").members() {
		list = append(list, member{
			Name: prefix + name, Kind: b.kind(p), Required: required[name], Description: b.inline(describe(p)),
		})
		if p.reference() == "" {
			list = append(list, b.members(p, prefix+name+".")...)
		}
		if items := p.get("items"); items.exists() && items.reference() == "" {
			list = append(list, b.members(items, prefix+name+"[].")...)
		}
	}
	return list
}

// describe is the description of a schema where it is used, else that of what is used.
func describe(n node) string {
	if own := n.own("description"); own != "" {
		return own
	}
	return n.text("description")
}

// kind is what a value may be.
func (b *builder) kind(n node) template.HTML {
	if name := n.reference(); name != "" {
		return htmlf(`<a href="#schema-%s">%[1]s</a>`, name)
	}
	if c := n.get("const"); c.exists() {
		return htmlf("<code>%s</code>", jsonLine(c))
	}
	for _, word := range []string{"oneOf", "anyOf"} {
		var kinds []string
		for _, alternative := range n.get(word).items() {
			kinds = append(kinds, string(b.kind(alternative)))
		}
		if kinds != nil {
			return template.HTML(strings.Join(kinds, " or ")) //nolint:gosec // made of escaped parts
		}
	}
	if n.text("contentMediaType") == "text/event-stream" {
		return "events, each " + b.kind(n.get("contentSchema").get("items"))
	}
	if n.get("contentSchema").exists() {
		return "text: " + b.kind(n.get("contentSchema")) + " as JSON"
	}
	if items := n.get("items"); items.exists() {
		return "list of " + b.kind(items) + bounds(n, "minItems", "maxItems", "")
	}
	var values []string
	for _, v := range n.get("enum").items() {
		values = append(values, string(htmlf("<code>%s</code>", v.Value)))
	}
	if values != nil {
		return template.HTML(strings.Join(values, " or ")) //nolint:gosec // made of escaped parts
	}
	kind := htmlf("%s", n.text("type"))
	switch {
	case n.text("pattern") != "":
		kind += htmlf(`, as <code class="pattern">%s</code>`, n.text("pattern"))
	case n.text("format") != "":
		kind += htmlf(", %s", n.text("format"))
	}
	return kind + bounds(n, "minimum", "maximum", "") + bounds(n, "minLength", "maxLength", " characters")
}

// bounds says between what a number lies.
func bounds(n node, least, most, unit string) template.HTML {
	low, high := n.text(least), n.text(most)
	if above := n.text("exclusiveMinimum"); above != "" && least == "minimum" {
		return htmlf(", above %s", above)
	}
	switch {
	case low != "" && high != "" && len(high) < 6:
		return htmlf(", %s to %s%s", low, high, unit)
	case low != "":
		return htmlf(", at least %s%s", low, unit)
	case high != "":
		return htmlf(", at most %s%s", high, unit)
	}
	return ""
}
