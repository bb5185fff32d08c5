package auth

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/internal/lru"
)

// Options are what an Authenticator needs. Zero means the default where one is named.
type Options struct {
	Log        *zap.Logger           // required
	Registerer prometheus.Registerer // required

	Transport       http.RoundTripper // for fetching keys; default as http.DefaultTransport, bounded
	Now             func() time.Time  // the clock that credentials and keys age by; default time.Now
	Tokens          int               // how many verified tokens are kept, half a KiB each; default 50,000
	RefreshInterval time.Duration     // between fetches of an issuer's keys, about; default 10m

	// KeyRemoved is called with the ids of an issuer's tenants when its keys have been fetched
	// and one that was among them is not any more. Its tokens are refused from then on, also
	// those that were accepted before; what these have opened is for it to end. Default:
	// nothing is done.
	KeyRemoved func(tenants []string)
}

func (o *Options) validate() error {
	switch {
	case o.Log == nil:
		return errors.New("auth: no logger given")
	case o.Registerer == nil:
		return errors.New("auth: no metrics registerer given")
	}
	if o.Transport == nil {
		o.Transport = newTransport()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Tokens <= 0 {
		o.Tokens = 50_000
	}
	if o.RefreshInterval <= 0 {
		o.RefreshInterval = 10 * time.Minute
	}
	if o.KeyRemoved == nil {
		o.KeyRemoved = func([]string) {}
	}
	return nil
}

// Authenticator checks credentials against the tenants that it was given last. It is safe
// for concurrent use.
type Authenticator struct {
	opts    Options
	log     *zap.Logger
	metrics *metrics
	audit   *audit
	client  *http.Client
	parser  *jwt.Parser
	tokens  *lru.Cache[tokenID, *verified]

	state   atomic.Pointer[state]
	ready   atomic.Bool
	setting sync.Mutex    // held by SetTenants
	due     chan struct{} // tells Run that a key source wants to be fetched
}

// state is all that follows from one set of tenants.
type state struct {
	directory *query.Directory
	apiKeys   *apiKeys
	issuers   map[string][]audience // by the token's iss
	sources   map[string]*keySource // by where the keys come from
}

// audience is one pair of issuer and audience, and the tenant whose it is.
type audience struct {
	name   string
	tenant *query.Tenant
	keys   *keySource
}

// New makes an Authenticator without tenants: it accepts nobody until SetTenants.
func New(o Options) (*Authenticator, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	m := newMetrics(o.Registerer)
	a := &Authenticator{
		opts:    o,
		log:     o.Log,
		metrics: m,
		audit:   newAudit(o.Log, m),
		client:  newClient(o.Transport),
		parser:  newParser(o.Now),
		tokens:  lru.New[tokenID, *verified](o.Tokens),
		due:     make(chan struct{}, 1),
	}
	none, err := query.NewDirectory(nil)
	if err != nil {
		return nil, err
	}
	a.state.Store(&state{directory: none, apiKeys: newAPIKeys(none, nil)})
	if err := o.Registerer.Register(newConfigured(a.state.Load)); err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	return a, nil
}

// SetTenants replaces all tenants at once. Key sets that are given are judged here, by
// CheckKeySet, and one that is refused leaves everything as it was. Keys that are fetched
// are kept for sources that stay, and are fetched by Run for those that are new.
func (a *Authenticator) SetTenants(d *query.Directory) error {
	a.setting.Lock()
	defer a.setting.Unlock()
	old := a.state.Load()
	next := &state{
		directory: d,
		apiKeys:   newAPIKeys(d, old.apiKeys),
		issuers:   make(map[string][]audience),
		sources:   make(map[string]*keySource),
	}
	for _, t := range d.Tenants() {
		for _, i := range t.Issuers {
			src, err := a.source(next, old, i)
			if err != nil {
				return err
			}
			next.issuers[i.Issuer] = append(next.issuers[i.Issuer], audience{i.Audience, t, src})
		}
	}
	a.state.Store(next)
	a.wakeRun()
	return nil
}

// Directory is the tenants as set last.
func (a *Authenticator) Directory() *query.Directory { return a.state.Load().directory }

// Ready reports why the Authenticator cannot do its work yet: it has no tenants, or has
// not got the keys of every issuer once. Later it stays ready: an issuer that is added by
// a reload, or is down, must not take all replicas out at once.
func (a *Authenticator) Ready() error {
	if a.ready.Load() {
		return nil
	}
	st := a.state.Load()
	if len(st.directory.Tenants()) == 0 {
		return errors.New("no tenants")
	}
	for _, src := range st.sources {
		if src.keys.Load() == nil {
			return errors.New("keys of an issuer not fetched yet: " + src.name)
		}
	}
	a.ready.Store(true)
	return nil
}
