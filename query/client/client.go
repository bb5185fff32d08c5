package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client asks one service with one credential. It may be used by several goroutines at once.
type Client struct {
	base       string // URL without the slash at its end
	http       *http.Client
	watching   *http.Client // the same without a time limit
	credential func(context.Context) (string, error)
	retry      Retry
	timeout    time.Duration
}

// Option is a setting of a Client.
type Option func(*options)

type options struct {
	http       *http.Client
	tls        *tls.Config
	token      func(context.Context) (string, error)
	apiKey     string
	apiKeyFunc func(context.Context) (string, error)
	retry      Retry
	timeout    time.Duration
}

// WithToken has the client ask with a token (JWT). The function is called for every try of a
// request, so that a token may be replaced before it expires; its error ends the request, or
// the watch.
func WithToken(token func(context.Context) (string, error)) Option {
	return func(o *options) { o.token = token }
}

// StaticToken is for WithToken, where the token stays the same.
func StaticToken(token string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return token, nil }
}

// WithAPIKey has the client ask with an API key.
func WithAPIKey(key string) Option {
	return func(o *options) { o.apiKey = key }
}

// WithAPIKeyFunc has the client ask for the API key before each request: it may be replaced
// meanwhile.
func WithAPIKeyFunc(key func(context.Context) (string, error)) Option {
	return func(o *options) { o.apiKeyFunc = key }
}

// WithHTTPClient has the client send its requests by another HTTP client than its own. That
// one's Timeout holds for each try of a request, but not for a watch.
func WithHTTPClient(c *http.Client) Option {
	return func(o *options) { o.http = c }
}

// WithTLS sets whom the client trusts, and what it shows of itself, where it has an HTTP
// client of its own.
func WithTLS(c *tls.Config) Option {
	return func(o *options) { o.tls = c }
}

// WithRetry sets how requests are sent again that failed for a moment.
func WithRetry(r Retry) Option {
	return func(o *options) { o.retry = r }
}

// WithTimeout sets how long a try of a request may take, beyond the time that the service was
// asked to wait. The default is 10 s.
func WithTimeout(d time.Duration) Option {
	return func(o *options) { o.timeout = d }
}

const defaultTimeout = 10 * time.Second

func (o *options) validate() error {
	given := 0
	for _, is := range []bool{o.token != nil, o.apiKey != "", o.apiKeyFunc != nil} {
		if is {
			given++
		}
	}
	switch {
	case given == 0:
		return errors.New("a credential is required: WithToken, WithAPIKey or WithAPIKeyFunc")
	case given > 1:
		return errors.New("WithToken, WithAPIKey and WithAPIKeyFunc exclude each other")
	case o.http != nil && o.tls != nil:
		return errors.New("WithHTTPClient and WithTLS exclude each other")
	case o.timeout < 0:
		return fmt.Errorf("WithTimeout: %s is negative", o.timeout)
	case strings.ContainsFunc(o.apiKey, notInHeader):
		return errors.New("WithAPIKey: the key has characters that no key has")
	}
	return o.retry.validate()
}

// New makes a client of the service at a URL, https://pins.example.com, which may have a path
// that all of the service's paths stand behind.
func New(baseURL string, opts ...Option) (*Client, error) {
	base, err := parseBase(baseURL)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	o := &options{timeout: defaultTimeout}
	for _, opt := range opts {
		opt(o)
	}
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if o.timeout == 0 {
		o.timeout = defaultTimeout
	}
	if o.http == nil {
		o.http = newHTTPClient(o.tls)
	}
	watching := *o.http
	watching.Timeout = 0
	return &Client{
		base: base, http: o.http, watching: &watching, credential: o.credential(), retry: o.retry.orDefault(), timeout: o.timeout,
	}, nil
}

// credential makes the value of the Authorization header.
func (o *options) credential() func(context.Context) (string, error) {
	switch {
	case o.token != nil:
		return secretOf("token", "Bearer ", o.token)
	case o.apiKeyFunc != nil:
		return secretOf("API key", "App ", o.apiKeyFunc)
	}
	return func(context.Context) (string, error) { return "App " + o.apiKey, nil }
}

func secretOf(name, scheme string, secret func(context.Context) (string, error)) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		value, err := secret(ctx)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		if value == "" || strings.ContainsFunc(value, notInHeader) { // an error of the HTTP client would show it
			return "", fmt.Errorf("%s: it is empty, or has characters that no %s has", name, name)
		}
		return scheme + value, nil
	}
}

func notInHeader(r rune) bool { return r <= ' ' || r >= 0x7f }

// parseBase returns the URL without the slash at its end. The error does not quote it, which
// may hold a password.
func parseBase(baseURL string) (string, error) {
	u, err := url.Parse(baseURL)
	switch {
	case err != nil:
		return "", errors.New("the URL is malformed")
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return "", errors.New("the URL has to be http://host or https://host")
	case u.User != nil:
		return "", errors.New("the URL must not hold a password: the credential is an option")
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return "", errors.New("the URL must not have a query or a fragment")
	}
	return strings.TrimRight(u.String(), "/"), nil
}

// newHTTPClient is as patient as a service in the next room needs. It follows no redirects:
// the service makes none, and whoever does should not get the credential.
func newHTTPClient(config *tls.Config) *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	return &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, TLSClientConfig: config,
			TLSHandshakeTimeout: 5 * time.Second, IdleConnTimeout: 90 * time.Second, MaxIdleConnsPerHost: 16,
			ForceAttemptHTTP2: true,
			// A dead connection must not get the next watch as well.
			HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// CloseIdleConnections closes the connections on which nothing is asked. A client needs no
// other end.
func (c *Client) CloseIdleConnections() { c.http.CloseIdleConnections() }
