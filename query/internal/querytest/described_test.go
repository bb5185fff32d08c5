package querytest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
)

// noted is a test that notes its faults.
type noted struct {
	testing.TB
	faults  []string
	cleanup []func()
}

func (n *noted) Errorf(format string, args ...any) {
	n.faults = append(n.faults, strings.TrimSpace(fmt.Sprintf(format, args...)))
}

func (n *noted) Cleanup(f func()) { n.cleanup = append(n.cleanup, f) }

func (n *noted) end() {
	for len(n.cleanup) > 0 {
		last := len(n.cleanup) - 1
		f := n.cleanup[last]
		n.cleanup = n.cleanup[:last]
		f()
	}
}

// liar is a dialect that does not keep to its description.
type liar struct{ pattern, body string }

func (*liar) Name() string { return "liar" }

func (l *liar) Routes() []query.Route {
	return []query.Route{{Pattern: l.pattern, Methods: map[string]query.Handler{
		http.MethodGet: func(w http.ResponseWriter, _ *http.Request) error {
			_ = query.WriteBody(w, http.StatusOK, "application/json", []byte(l.body))
			return nil
		},
	}}}
}

func (*liar) Fail(w http.ResponseWriter, _ *http.Request, _ error) {
	query.WriteProblem(w, http.StatusTeapot, "short and stout")
}

// What a dialect answers and the description does not say fails its test.
func TestDescribed(t *testing.T) {
	const types = `{"totalRecords":1,"resourceSet":[{"value":"Parental","description":"Parental"}]}`
	for _, tc := range []struct {
		name          string
		pattern, body string
		headers       []string
		want          []string // in the faults
	}{
		{"as described", "/adm/v1/pinTypes", types, []string{"Authorization: Bearer x", "nv-tenant-id: acme"}, nil},
		{"member not described", "/adm/v1/pinTypes", strings.Replace(types, "{", `{"more":1,`, 1), []string{"Authorization: Bearer x", "nv-tenant-id: acme"}, []string{"additional properties 'more' not allowed"}},
		{"accepted without a credential", "/adm/v1/pinTypes", types, []string{"nv-tenant-id: acme"}, []string{"no credential"}},
		{"accepted without a header", "/adm/v1/pinTypes", types, []string{"Authorization: Bearer x"}, []string{"header parameter nv-tenant-id: not given"}},
		{"path not described", "/adm/v1/more", types, nil, []string{"GET /adm/v1/more of dialect liar: not described", "the path is not described"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tb := &noted{TB: t}
			r := Start(tb, Config{}, func(*query.Service, *auth.Authenticator) query.Dialect { return &liar{tc.pattern, tc.body} })
			if got := r.Get(tc.pattern, tc.headers...); got.Code != http.StatusOK {
				t.Errorf("%d; want 200", got.Code)
			}
			tb.end()
			if len(tb.faults) != len(tc.want) {
				t.Fatalf("faults: %q; want %q", tb.faults, tc.want)
			}
			for i, want := range tc.want {
				if !strings.Contains(tb.faults[i], want) {
					t.Errorf("fault: %s; want %s", tb.faults[i], want)
				}
			}
		})
	}
}
