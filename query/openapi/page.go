package openapi

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page's form
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

var (
	//go:embed page.html
	pageHTML string

	//go:embed page.css
	pageCSS string
)

// page is the document as the page shows it.
type page struct {
	Title    string
	Summary  string
	Intro    template.HTML
	Sections []link // of Intro
	Groups   []group
	Headers  []header
	Schemas  []schema
	Style    template.CSS
}

// group is all operations of a tag.
type group struct {
	ID, Name    string
	Description template.HTML
	Operations  []operation
}

type operation struct {
	ID, Method  string
	Path        template.HTML
	Summary     string
	Description template.HTML
	Credentials []template.HTML // one of them is needed; none: none is
	Scopes      []string        // that it needs
	Parameters  []member
	Body        []content
	Answers     []answer
	Samples     []string // lines for a shell
}

// header is one of an answer.
type header struct {
	ID string // of its description, which answers share
	member
}

type answer struct {
	Code        string
	Text        string // of the code
	Fine        bool   // not an error
	Description template.HTML
	Headers     []header // that it always has
	Others      []header // that it has where they apply
	Content     []content
}

type content struct {
	Type     string
	Kind     template.HTML
	Examples []example
}

type example struct{ Summary, Text string }

// htmlf is HTML with pieces of text in it, which are escaped.
func htmlf(format string, pieces ...any) template.HTML {
	for i := range pieces {
		pieces[i] = template.HTMLEscapeString(fmt.Sprint(pieces[i]))
	}
	return template.HTML(fmt.Sprintf(format, pieces...)) //nolint:gosec // escaped
}

// renderPage is the document as a page, and the policy by which the page has no content but
// its own.
func renderPage(text []byte) (html []byte, policy string, err error) {
	root, err := parse(text)
	if err != nil {
		return nil, "", err
	}
	b := &builder{markdown: newMarkdown(), root: root}
	p := b.page()
	if b.err != nil {
		return nil, "", b.err
	}
	form, err := template.New("page").Parse(pageHTML)
	if err != nil {
		return nil, "", err
	}
	var out bytes.Buffer
	if err := form.Execute(&out, p); err != nil {
		return nil, "", err
	}
	style := sha256.Sum256([]byte(p.Style))
	policy = "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(style[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return out.Bytes(), policy, nil
}

// builder makes a page of a document.
type builder struct {
	markdown markdown
	root     node
	err      error
}

func (b *builder) block(text string) template.HTML {
	html, err := b.markdown.block(text)
	b.err = errors.Join(b.err, err)
	return html
}

func (b *builder) inline(text string) template.HTML {
	html, err := b.markdown.inline(text)
	b.err = errors.Join(b.err, err)
	return html
}

func (b *builder) page() page {
	info := b.root.get("info")
	p := page{
		Title: info.text("title"), Summary: info.text("summary"), Intro: b.block(info.text("description")),
		Style: template.CSS(pageCSS), //nolint:gosec // the project's own
	}
	p.Sections = headings(p.Intro)
	for _, tag := range b.root.get("tags").items() {
		p.Groups = append(p.Groups, group{
			ID: tag.text("name"), Name: tag.text("x-displayName"), Description: b.block(tag.text("description")),
			Operations: b.operations(tag.text("name")),
		})
	}
	components := b.root.get("components")
	named := b.headerNames()
	for id, h := range components.get("headers").members() {
		p.Headers = append(p.Headers, header{id, b.member(named[id], h)})
	}
	for name, s := range components.get("schemas").members() {
		p.Schemas = append(p.Schemas, b.schema(name, s))
	}
	return p
}

// headerNames are the names of the headers that are described.
func (b *builder) headerNames() map[string]string {
	names := make(map[string]string)
	for _, item := range b.root.get("paths").members() {
		for _, op := range item.members() {
			for _, answer := range op.get("responses").members() {
				for name, h := range answer.get("headers").members() {
					names[h.reference()] = name
				}
			}
		}
	}
	return names
}

// operations are those of a tag, in the order of the document.
func (b *builder) operations(tag string) []operation {
	var list []operation
	for path, item := range b.root.get("paths").members() {
		for method, op := range item.members() {
			if tags := op.get("tags").items(); len(tags) == 1 && tags[0].Value == tag {
				list = append(list, b.operation(path, strings.ToUpper(method), item, op))
			}
		}
	}
	return list
}

func (b *builder) operation(path, method string, item, op node) operation {
	o := operation{
		ID: op.text("operationId"), Method: method, Path: pathHTML(path),
		Summary: op.text("summary"), Description: b.block(op.text("description")),
		Body: b.content(op.get("requestBody").get("content")),
	}
	for _, s := range op.get("security").items() {
		for name, scopes := range s.members() {
			scheme := b.root.get("components").get("securitySchemes").get(name)
			o.Credentials = append(o.Credentials, b.inline(scheme.text("description")))
			for _, scope := range scopes.items() {
				if !slices.Contains(o.Scopes, scope.Value) {
					o.Scopes = append(o.Scopes, scope.Value)
				}
			}
		}
	}
	// What is in the path comes first, and what all operations share comes last.
	for _, p := range item.get("parameters").items() {
		if p.text("in") == "path" {
			o.Parameters = append(o.Parameters, b.member(p.text("name"), p))
		}
	}
	for _, p := range append(op.get("parameters").items(), item.get("parameters").items()...) {
		if p.text("in") != "path" {
			o.Parameters = append(o.Parameters, b.member(p.text("name"), p))
		}
	}
	for code, a := range op.get("responses").members() {
		o.Answers = append(o.Answers, b.answer(code, a))
	}
	for _, s := range op.get("x-codeSamples").items() {
		o.Samples = append(o.Samples, strings.TrimSpace(s.text("source")))
	}
	return o
}

// member is a parameter or a header.
func (b *builder) member(name string, n node) member {
	m := member{
		Name: name, Place: n.text("in"), Kind: b.kind(n.get("schema")), Required: n.text("required") == "true",
		Description: b.inline(n.text("description")),
	}
	if fixed := n.get("schema").text("const"); fixed != "" {
		m.Kind = htmlf("<code>%s</code>", fixed) // it is text, and no JSON
	} else {
		m.Example = n.text("example")
	}
	return m
}

func (b *builder) answer(code string, n node) answer {
	a := answer{Code: code, Description: b.inline(n.text("description")), Content: b.content(n.get("content"))}
	number, err := strconv.Atoi(code)
	if err != nil {
		b.err = errors.Join(b.err, fmt.Errorf("status code %q: not a number", code))
	}
	a.Text, a.Fine = http.StatusText(number), number < http.StatusBadRequest
	for name, h := range n.get("headers").members() {
		if described := (header{h.reference(), member{Name: name}}); h.text("required") == "true" {
			a.Headers = append(a.Headers, described)
		} else {
			a.Others = append(a.Others, described)
		}
	}
	return a
}

func (b *builder) content(n node) []content {
	var list []content
	for contentType, m := range n.members() {
		c := content{Type: contentType, Kind: b.kind(m.get("schema"))}
		if e := m.get("example"); e.exists() {
			c.Examples = append(c.Examples, example{Text: strings.TrimSpace(e.Value)})
		}
		for _, e := range m.get("examples").members() {
			c.Examples = append(c.Examples, example{e.text("summary"), jsonText(e.get("value"), "")})
		}
		list = append(list, c)
	}
	return list
}

// pathHTML is a path with its parameters set apart.
func pathHTML(path string) template.HTML {
	var b strings.Builder
	for _, segment := range strings.Split(path, "/")[1:] {
		b.WriteString("/")
		if strings.HasPrefix(segment, "{") {
			b.WriteString(string(htmlf("<var>%s</var><wbr>", segment)))
		} else {
			b.WriteString(string(htmlf("%s<wbr>", segment)))
		}
	}
	return template.HTML(b.String()) //nolint:gosec // made of escaped parts
}
