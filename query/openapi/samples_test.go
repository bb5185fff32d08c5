package openapi_test

import (
	"bufio"
	"context"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/adm"
	"github.com/pinstatus/pinstatus/query/auth"
	"github.com/pinstatus/pinstatus/query/internal/fakeviews"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
	"github.com/pinstatus/pinstatus/query/openapi"
	"github.com/pinstatus/pinstatus/query/twofa"
	"github.com/pinstatus/pinstatus/query/userpin"
	v1 "github.com/pinstatus/pinstatus/query/v1"
)

// demo is a service as `pinstatus serve` has it, with what the samples ask for.
func demo(t *testing.T) *querytest.Rig {
	t.Helper()
	self, err := openapi.New()
	if err != nil {
		t.Fatal(err)
	}
	r := querytest.Start(t, querytest.Config{Tenants: func(_ *querytest.Key, ts []query.Tenant) { ts[0].ID = "demo" }},
		func(s *query.Service, a *auth.Authenticator) query.Dialect { return v1.New(s, a) },
		func(s *query.Service, a *auth.Authenticator) query.Dialect { return twofa.New(s, a) },
		func(s *query.Service, a *auth.Authenticator) query.Dialect { return adm.New(s, a) },
		func(s *query.Service, a *auth.Authenticator) query.Dialect { return userpin.New(s, a) },
		func(*query.Service, *auth.Authenticator) query.Dialect { return self },
	)
	for p := range 4 {
		r.Views.SetPosition(p, fakeviews.Position(2000))
	}
	at := time.Now().UnixNano()
	r.Views.PutDelivery("demo", "2B67", &view.Delivery{
		Sequence: 1043,
		Entries: []view.Entry{{
			Channel: event.SMS, ID: "m1", Status: event.MessageDelivered, FirstAt: at, ChangedAt: at,
			Timeline: []view.Change{{Status: event.MessageDelivered, At: at}},
		}},
	})
	r.Views.PutAccount("demo", "alice", &view.Account{Sequence: 1040, Exists: true, PINs: []view.PIN{{Type: "Parental", Set: true, ChangedAt: at}}})
	return r
}

// Every sample works as it stands, but for what the reader's shell puts into it.
func TestSamples(t *testing.T) {
	r := demo(t)
	shell := strings.NewReplacer(
		"$API", "http://"+r.Addr,
		"$KEY", querytest.AcmeKey,
		"$OPERATOR", r.Token(querytest.Claims{"scope": "pins:read deliveries:read user:users.pin:check"}),
		"$ALICE", r.Token(querytest.Claims{"account_id": "alice", "scope": "user:users.pin:check"}),
	)
	for id, samples := range samplesOf(t) {
		t.Run(id, func(t *testing.T) {
			if len(samples) == 0 {
				t.Error("no sample")
			}
			for _, line := range samples {
				curl(t, r, shell.Replace(line))
			}
		})
	}
}

// samplesOf are the samples of all operations but preflights, a line each.
func samplesOf(t *testing.T) map[string][]string {
	t.Helper()
	var document struct {
		Paths map[string]map[string]yaml.Node `yaml:"paths"`
	}
	if err := yaml.Unmarshal(openapi.Document(), &document); err != nil {
		t.Fatal(err)
	}
	samples := make(map[string][]string)
	for _, item := range document.Paths {
		for method, node := range item {
			if method != "get" && method != "post" {
				continue
			}
			var op struct {
				ID      string                    `yaml:"operationId"`
				Samples []struct{ Source string } `yaml:"x-codeSamples"`
			}
			if err := node.Decode(&op); err != nil {
				t.Fatal(err)
			}
			samples[op.ID] = nil
			for _, s := range op.Samples {
				for line := range strings.SplitSeq(strings.ReplaceAll(s.Source, "\\\n", " "), "\n") {
					if line != "" && !strings.HasPrefix(line, "#") {
						samples[op.ID] = append(samples[op.ID], line)
					}
				}
			}
		}
	}
	return samples
}

// curl does what curl would, and wants it to succeed at once. Of a stream it reads the
// first event.
func curl(t *testing.T, r *querytest.Rig, line string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	method, target, body := http.MethodGet, "", ""
	header := make(http.Header)
	words := regexp.MustCompile(`"([^"]*)"|'([^']*)'|(\S+)`).FindAllStringSubmatch(line, -1)
	word := func(i int) string { return words[i][1] + words[i][2] + words[i][3] }
	for i := 1; i < len(words); i++ {
		switch option := word(i); option {
		case "-N", "-i":
		case "-H":
			i++
			name, value, _ := strings.Cut(word(i), ": ")
			header.Set(name, value)
		case "-d":
			i++
			method, body = http.MethodPost, word(i)
		default:
			if target != "" || strings.HasPrefix(option, "-") {
				t.Fatalf("%s: %s", line, option)
			}
			target = option
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	if body == "" {
		req.Body = http.NoBody
	}
	resp, err := r.Transport().RoundTrip(req)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("%s: %d; want 200", line, resp.StatusCode)
	}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "data: ") {
			return
		}
	}
	if ctx.Err() != nil {
		t.Errorf("%s: not within 10 seconds", line)
	}
}
