package query

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// router finds routes by the segments of the path as it was sent. It is not http.ServeMux,
// which cleans paths and redirects: here %2F, %2E%2E and an empty segment are part of an
// id, or name nothing.
type router struct {
	bySegments map[int][]*route
}

type route struct {
	Route
	dialect  Dialect
	segments []string // of the pattern, without the leading slash
	allow    string   // value of an Allow header
	metrics  *routeMetrics
}

func newRouter(dialects []Dialect) (*router, error) {
	rt := &router{bySegments: make(map[int][]*route)}
	names := make(map[string]bool)
	patterns := make(map[string]bool)
	for _, d := range dialects {
		if names[d.Name()] {
			return nil, fmt.Errorf("dialect %q: given twice", d.Name())
		}
		names[d.Name()] = true
		for _, r := range d.Routes() {
			path, rooted := strings.CutPrefix(r.Pattern, "/")
			if !rooted || len(r.Methods) == 0 || patterns[r.Pattern] {
				return nil, fmt.Errorf("route %q: no path, no methods, or given twice", r.Pattern)
			}
			patterns[r.Pattern] = true
			c := &route{Route: r, dialect: d, segments: strings.Split(path, "/"), allow: allowed(r.Methods)}
			rt.bySegments[len(c.segments)] = append(rt.bySegments[len(c.segments)], c)
		}
	}
	return rt, nil
}

// bind has every route count what becomes of its requests.
func (rt *router) bind(m *serverMetrics) {
	for _, routes := range rt.bySegments {
		for _, c := range routes {
			c.metrics = m.route(c.dialect.Name(), c.Pattern, c.Stream)
		}
	}
}

func allowed(methods map[string]Handler) string {
	var names []string
	for m := range methods {
		names = append(names, m)
		if m == http.MethodGet {
			names = append(names, http.MethodHead)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// find is the route of a request's path, nil if it is nobody's. It sets the request's path
// values.
func (rt *router) find(r *http.Request) *route {
	path, rooted := strings.CutPrefix(rawPath(r.URL), "/")
	if !rooted {
		return nil
	}
	segments := strings.Split(path, "/")
	for _, c := range rt.bySegments[len(segments)] {
		if c.matches(segments, r) {
			return c
		}
	}
	return nil
}

// rawPath is the path as it was sent. URL.EscapedPath is that only where it agrees with
// its own spelling: for a path with a byte that should have been escaped it escapes the
// decoded path anew, and a %2F in it has become a slash.
func rawPath(u *url.URL) string {
	if u.RawPath != "" {
		return u.RawPath
	}
	return u.EscapedPath()
}

func (c *route) matches(segments []string, r *http.Request) bool {
	values := make([][2]string, 0, 2)
	for i, pattern := range c.segments {
		name, ok := parameter(pattern)
		if !ok {
			if segments[i] != pattern {
				return false
			}
			continue
		}
		value, err := url.PathUnescape(segments[i])
		if err != nil || c.Accept != nil && !c.Accept(name, value) {
			return false
		}
		values = append(values, [2]string{name, value})
	}
	for _, v := range values {
		r.SetPathValue(v[0], v[1])
	}
	return true
}

func parameter(segment string) (name string, ok bool) {
	if len(segment) > 2 && segment[0] == '{' && segment[len(segment)-1] == '}' {
		return segment[1 : len(segment)-1], true
	}
	return "", false
}

// handler is who answers the method; nil if nobody does.
func (c *route) handler(method string) Handler {
	if method == http.MethodHead && c.Methods[method] == nil {
		method = http.MethodGet
	}
	return c.Methods[method]
}
