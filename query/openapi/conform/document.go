package conform

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

// document is a description while it is read. The first fault of it is kept in err.
type document struct {
	root      node
	compiler  *jsonschema.Compiler
	responses map[string]*response // by pointer
	err       error
}

// address is what schemas call the document.
const address = "https://pinstatus.example/openapi.yaml"

func newDocument(text []byte) (*document, error) {
	var parsed any
	if err := yaml.Unmarshal(text, &parsed); err != nil {
		return nil, err
	}
	// By way of JSON, as that is what the schemas are for: it has one kind of number.
	b, err := json.Marshal(parsed)
	if err != nil {
		return nil, err
	}
	if parsed, err = jsonschema.UnmarshalJSON(bytes.NewReader(b)); err != nil {
		return nil, err
	}
	seal(parsed)
	d := &document{compiler: jsonschema.NewCompiler(), responses: make(map[string]*response)}
	d.root = node{document: d, value: parsed}
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	d.compiler.AssertContent()
	d.compiler.RegisterContentMediaType(&jsonschema.MediaType{Name: "text/event-stream", UnmarshalJSON: parseEvents, Validate: func([]byte) error { return nil }})
	return d, d.compiler.AddResource(address, parsed)
}

// node is a part of the document, and where it stands.
type node struct {
	document *document
	pointer  string
	value    any
}

func (d *document) fail(n node, what string) {
	if d.err == nil {
		d.err = fmt.Errorf("%s: %s", n.pointer, what)
	}
}

// at follows references until n is something itself.
func (n node) at() node {
	for {
		ref, ok := n.member("$ref").(string)
		if !ok {
			return n
		}
		to, ok := strings.CutPrefix(ref, "#/")
		if !ok {
			n.document.fail(n, "refers to another document")
			return node{document: n.document}
		}
		n = n.document.root
		for token := range strings.SplitSeq(to, "/") {
			n = n.step(strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~"))
		}
		if n.value == nil {
			n.document.fail(n, "does not exist")
		}
	}
}

func (n node) member(name string) any {
	m, _ := n.value.(map[string]any) // none of what is no object
	return m[name]
}

func (n node) step(name string) node {
	token := strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
	return node{n.document, n.pointer + "/" + token, n.member(name)}
}

// child is a member of n; its value is nil if n has none of that name.
func (n node) child(name string) node { return n.at().step(name) }

// children are the members of n, in any order, extensions left out.
func (n node) children() iter.Seq2[string, node] {
	return func(yield func(string, node) bool) {
		n := n.at()
		m, _ := n.value.(map[string]any) // none of what is no object
		for name := range m {
			if !strings.HasPrefix(name, "x-") && !yield(name, n.step(name)) {
				return
			}
		}
	}
}

func (n node) items() []node {
	n = n.at()
	list, _ := n.value.([]any) // none of what is no list
	nodes := make([]node, len(list))
	for i := range list {
		nodes[i] = node{n.document, fmt.Sprint(n.pointer, "/", i), list[i]}
	}
	return nodes
}

func (n node) text(name string) string {
	s, _ := n.at().member(name).(string) // empty if it is something else
	return s
}

func (n node) isTrue(name string) bool { return n.at().member(name) == true }

// schema compiles the schema that stands at n.
func (d *document) schema(n node) *jsonschema.Schema {
	if n.value == nil {
		d.fail(n, "no schema")
		return nil
	}
	s, err := d.compiler.Compile(address + "#" + (&url.URL{Path: n.pointer}).EscapedPath())
	if err != nil {
		d.err = errors.Join(d.err, err)
	}
	return s
}

func (d *document) media(schema node) *media { return &media{d.schema(schema)} }

func (d *document) content(n node) map[string]*media {
	content := make(map[string]*media)
	for contentType, m := range n.children() {
		content[contentType] = d.media(m.child("schema"))
		d.example(m.child("example"), content[contentType].schema, check)
		for _, e := range m.child("examples").children() {
			d.example(e.child("value"), content[contentType].schema, check)
		}
	}
	return content
}

// example checks an example, if there is one.
func (d *document) example(n node, s *jsonschema.Schema, check func(*jsonschema.Schema, any) error) {
	if n.value == nil || s == nil {
		return
	}
	if err := check(s, n.value); err != nil {
		d.fail(n, "an example that is not as described: "+err.Error())
	}
}

// text is the schema of a parameter or a header, whose example is text.
func (d *document) text(n node) *jsonschema.Schema {
	s := d.schema(n.child("schema"))
	d.example(n.child("example"), s, func(s *jsonschema.Schema, v any) error { return checkText(s, fmt.Sprint(v)) })
	return s
}

func (d *document) operation(n node, common []node) *operation {
	op := &operation{responses: make(map[string]*response), bodyNeeded: n.child("requestBody").isTrue("required")}
	for _, p := range append(n.child("parameters").items(), common...) {
		op.parameters = append(op.parameters, parameter{p.text("name"), p.text("in"), p.isTrue("required"), d.text(p)})
	}
	if body := n.child("requestBody"); body.value != nil {
		op.body = d.content(body.child("content"))
	}
	for _, s := range n.child("security").items() {
		op.security = append(op.security, d.alternative(s))
	}
	for code, r := range n.child("responses").children() {
		op.responses[code] = d.response(r.at())
	}
	return op
}

// response reads an answer, once for all operations that have it.
func (d *document) response(n node) *response {
	if r := d.responses[n.pointer]; r != nil {
		return r
	}
	r := &response{headers: make(map[string]header), content: d.content(n.child("content"))}
	for name, h := range n.child("headers").children() {
		r.headers[http.CanonicalHeaderKey(name)] = header{h.isTrue("required"), d.text(h)}
	}
	d.responses[n.pointer] = r
	return r
}

func (d *document) alternative(n node) alternative {
	var all alternative
	for name := range n.children() {
		s := d.root.child("components").child("securitySchemes").child(name)
		switch kind := s.text("type"); {
		case kind == "http":
			all = append(all, scheme{"Authorization", strings.ToLower(s.text("scheme")) + " "})
		case kind == "apiKey" && s.text("in") == "header":
			all = append(all, scheme{header: s.text("name")})
		default:
			d.fail(s, "a credential that this package does not read")
		}
	}
	return all
}
