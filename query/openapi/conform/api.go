package conform

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// API is what a document describes.
type API struct {
	paths   []*path
	problem *media // what a path is answered with that is not described
}

type path struct {
	template   string
	segments   []string
	operations map[string]*operation // by method
}

type operation struct {
	parameters []parameter
	security   []alternative // none: no credential is needed
	body       map[string]*media
	bodyNeeded bool
	responses  map[string]*response // by status code
}

// alternative is a set of credentials that are needed together.
type alternative []scheme

// scheme is how a credential is sent.
type scheme struct {
	header string
	prefix string // of the header's value, in lower case
}

type parameter struct {
	name, in string
	required bool
	schema   *jsonschema.Schema
}

type response struct {
	headers map[string]header // by canonical name
	content map[string]*media // by content type
}

type header struct {
	required bool
	schema   *jsonschema.Schema
}

// media is a body of one content type.
type media struct{ schema *jsonschema.Schema }

// Parse reads a document, and refuses one whose examples are not as it describes them.
func Parse(document []byte) (*API, error) {
	d, err := newDocument(document)
	if err != nil {
		return nil, fmt.Errorf("OpenAPI document: %w", err)
	}
	a := &API{problem: d.media(d.root.child("components").child("schemas").child("Problem"))}
	for name, item := range d.root.child("paths").children() {
		p := &path{template: name, segments: strings.Split(name, "/")[1:], operations: make(map[string]*operation)}
		common := item.child("parameters").items()
		for key, op := range item.children() {
			switch key {
			case "get", "post", "options":
				p.operations[strings.ToUpper(key)] = d.operation(op, common)
			case "parameters":
			default:
				d.fail(op, "not read by this package")
			}
		}
		a.paths = append(a.paths, p)
	}
	if d.err != nil {
		return nil, fmt.Errorf("OpenAPI document: %w", d.err)
	}
	return a, nil
}

// Paths are the paths described, as they stand in the document, with their methods in
// order.
func (a *API) Paths() map[string][]string {
	paths := make(map[string][]string, len(a.paths))
	for _, p := range a.paths {
		paths[p.template] = slices.Sorted(maps.Keys(p.operations))
	}
	return paths
}

// find is the path that a request's target names, and the values of its parameters; nil if
// it names none. Paths are taken as they were sent, segment by segment. Of several the one
// with the fewest parameters is meant.
func (a *API) find(target string) (found *path, values map[string]string) {
	sent := strings.Split(target, "/")[1:]
	for _, p := range a.paths {
		if v, ok := p.match(sent); ok && (found == nil || len(v) < len(values)) {
			found, values = p, v
		}
	}
	return found, values
}

func (p *path) match(sent []string) (values map[string]string, ok bool) {
	if len(sent) != len(p.segments) {
		return nil, false
	}
	values = make(map[string]string)
	for i, s := range p.segments {
		if name, ok := strings.CutPrefix(s, "{"); ok {
			values[strings.TrimSuffix(name, "}")] = sent[i]
		} else if s != sent[i] {
			return nil, false
		}
	}
	return values, true
}

// allow is the value of an Allow header: what the path has, and HEAD with GET.
func (p *path) allow() string {
	methods := slices.Collect(maps.Keys(p.operations))
	if p.operations[http.MethodGet] != nil {
		methods = append(methods, http.MethodHead)
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}
