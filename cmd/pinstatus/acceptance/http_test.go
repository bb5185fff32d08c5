package acceptance

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// client keeps as many connections as a test has requests under way. A request is ended by
// its context alone.
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}}

// answer is what was answered, and between which two moments.
type answer struct {
	code         int
	header       http.Header
	body         string
	began, ended time.Time
}

// fetch asks a URL, with headers given as names and values in turn. The path goes onto the
// wire as it is written.
func fetch(ctx context.Context, rawURL string, header ...string) (answer, error) {
	return fetchBy(ctx, client, rawURL, header...)
}

// fetchBy is fetch by another client.
func fetchBy(ctx context.Context, by *http.Client, rawURL string, header ...string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, rawURL, nil)
	if err != nil {
		return answer{}, err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	a := answer{began: time.Now()}
	res, err := by.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	a.code, a.header, a.body, a.ended = res.StatusCode, res.Header, string(body), time.Now()
	return a, err
}

// api is a query service, as applications see it.
type api struct {
	*config
	base string // URL
}

// Each dialect's question. Ids are escaped by escape.

func (a *api) delivery(ctx context.Context, tenant, pinID string) (answer, error) {
	return a.deliveryAt(ctx, tenant, "/2fa/1/pin/"+escape(pinID)+"/status")
}

func (a *api) deliveryAt(ctx context.Context, tenant, path string) (answer, error) {
	return fetch(ctx, a.base+path, "Authorization", "App "+apiKeyOf(tenant))
}

func (a *api) pins(ctx context.Context, tenant, account string) (answer, error) {
	return a.pinsAt(ctx, tenant, "/adm/v1/accounts/"+escape(account)+"/pins/status", a.operator(tenant))
}

func (a *api) pinsAt(ctx context.Context, tenant, path, token string) (answer, error) {
	return fetch(ctx, a.base+path, "Authorization", "Bearer "+token, "nv-tenant-id", tenant)
}

// userPIN waits for up to so many whole seconds, and not at all if there are none.
func (a *api) userPIN(ctx context.Context, tenant, account string, seconds int) (answer, error) {
	return a.userPINWith(ctx, a.client(tenant, account), seconds)
}

func (a *api) userPINWith(ctx context.Context, token string, seconds int) (answer, error) {
	path := "/user/pin"
	if seconds > 0 {
		path += "?timeout=" + strconv.Itoa(seconds)
	}
	return fetch(ctx, a.base+path, "Authorization", "Bearer "+token)
}

// escape writes an id as one segment of a path: what need not be escaped is not.
func escape(id string) string { return url.PathEscape(id) }

// escapeAll escapes every byte of an id.
func escapeAll(id string) string {
	var b strings.Builder
	for i := range len(id) {
		fmt.Fprintf(&b, "%%%02X", id[i])
	}
	return b.String()
}

// is reports, as an error, how the answer differs from this one.
func (a answer) is(code int, body string) error {
	if a.code != code || body != "" && a.body != body {
		return fmt.Errorf("answered %d %s, want %d %s", a.code, a.body, code, body)
	}
	return nil
}

// becomes asks until the answer is this one; an empty body is any.
func becomes(tb testing.TB, what string, ask func() (answer, error), code int, body string) {
	tb.Helper()
	eventually(tb, what, func() error {
		a, err := ask()
		if err != nil {
			return err
		}
		return a.is(code, body)
	})
}

// metrics are the values of a process' metrics, by their names with labels as exported.
func (p *process) metrics() (map[string]float64, error) {
	a, err := fetch(p.tb.Context(), p.admin+"/metrics")
	if err != nil {
		return nil, err
	}
	values := map[string]float64{}
	for line := range strings.Lines(a.body) {
		line = strings.TrimSpace(line)
		i := strings.LastIndexByte(line, ' ')
		if i < 0 || line[0] == '#' {
			continue
		}
		if values[line[:i]], err = strconv.ParseFloat(line[i+1:], 64); err != nil {
			return nil, fmt.Errorf("metric %q: %w", line, err)
		}
	}
	return values, nil
}

// measures waits until a metric has a value.
func (p *process) measures(name string, want float64) {
	p.tb.Helper()
	eventually(p.tb, fmt.Sprintf("%s is %v", name, want), func() error {
		m, err := p.metrics()
		if err == nil && m[name] != want {
			err = fmt.Errorf("it is %v", m[name])
		}
		return err
	})
}

// reads is how often the query service has read a view, with whatever result.
func (p *process) reads() (sum float64) {
	p.tb.Helper()
	m, err := p.metrics()
	if err != nil {
		p.tb.Fatal(err)
	}
	for name, value := range m {
		if strings.HasPrefix(name, "pinstatus_query_reads_total{") {
			sum += value
		}
	}
	return sum
}

// reported are the positions of all partitions as the projector reports them.
func (p *process) reported() ([]uint64, error) {
	m, err := p.metrics()
	if err != nil {
		return nil, err
	}
	var at []uint64
	for name, value := range m {
		if strings.HasPrefix(name, "pinstatus_projector_position{") {
			at = append(at, uint64(value))
		}
	}
	return at, nil
}

// projected waits until the projector reports that the views include all events up to a
// sequence.
func (p *process) projected(sequence uint64) {
	p.tb.Helper()
	eventually(p.tb, fmt.Sprintf("the views include sequence %d", sequence), func() error {
		at, err := p.reported()
		if err == nil && (len(at) == 0 || slices.Min(at) < sequence) {
			err = fmt.Errorf("positions are %d", at)
		}
		return err
	})
}

// trips is how often the query service has asked the store for views.
func (p *process) trips() float64 {
	p.tb.Helper()
	m, err := p.metrics()
	if err != nil {
		p.tb.Fatal(err)
	}
	return m["pinstatus_redis_read_duration_seconds_count"]
}
