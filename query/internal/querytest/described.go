package querytest

import (
	"net/http"
	"slices"
	"sync"

	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/openapi"
	"github.com/pinstatus/pinstatus/query/openapi/conform"
)

// api is what the project's description of its API says. It takes some time to read.
var api = sync.OnceValues(func() (*conform.API, error) { return conform.Parse(openapi.Document()) })

// maxReported is how many exchanges are reported that are not as described.
const maxReported = 10

// describe compares every exchange that goes through base with the description of the API,
// and fails the test at its end if one is not as described.
func (r *Rig) describe(base http.RoundTripper) {
	described, err := api()
	if err != nil {
		r.TB.Fatal(err)
	}
	var mu sync.Mutex
	var faults []error
	r.TB.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		for _, err := range faults[:min(len(faults), maxReported)] {
			r.TB.Errorf("%v", err)
		}
	})
	r.described = &conform.Transport{Base: base, API: described, Report: func(err error) {
		mu.Lock()
		defer mu.Unlock()
		faults = append(faults, err)
	}}
}

// checkRoutes checks that the routes of a dialect are described, with their methods.
func (r *Rig) checkRoutes(d query.Dialect) {
	r.TB.Helper()
	paths := r.described.API.Paths()
	for _, route := range d.Routes() {
		for method := range route.Methods {
			if !slices.Contains(paths[route.Pattern], method) {
				r.TB.Errorf("%s %s of dialect %s: not described", method, route.Pattern, d.Name())
			}
		}
	}
}

// Transport carries requests to the server, for clients of their own. Exchanges are compared
// with the description of the API, as those of Get, Do and Try are.
func (r *Rig) Transport() http.RoundTripper { return r.described }
