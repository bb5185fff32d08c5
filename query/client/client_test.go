package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

func TestNew(t *testing.T) {
	token, key := WithToken(StaticToken("t")), WithAPIKey("k")
	tests := []struct {
		name, url string
		opts      []Option
		want      string // of the error; empty for none
	}{
		{"token", "https://pins.example.com", []Option{token}, ""},
		{"key, and a path", "http://127.0.0.1:8080/pins/", []Option{key}, ""},
		{"no credential", "https://pins.example.com", nil, "a credential is required"},
		{"an empty key", "https://pins.example.com", []Option{WithAPIKey("")}, "a credential is required"},
		{"two credentials", "https://pins.example.com", []Option{token, key}, "exclude each other"},
		{"a key of two lines", "https://pins.example.com", []Option{WithAPIKey("a\nb")}, "characters that no key has"},
		{"two HTTP clients", "https://pins.example.com", []Option{key, WithHTTPClient(&http.Client{}), WithTLS(&tls.Config{})}, "exclude each other"},
		{"no URL", "", []Option{key}, "has to be http://host"},
		{"no scheme", "pins.example.com:8080", []Option{key}, "has to be http://host"},
		{"no host", "https:///v1", []Option{key}, "has to be http://host"},
		{"another scheme", "nats://pins.example.com", []Option{key}, "has to be http://host"},
		{"a password", "https://u:hidden@pins.example.com", []Option{key}, "must not hold a password"},
		{"a malformed URL with a password", "https://u:hidden@pins.example.com:x", []Option{key}, "malformed"},
		{"a query", "https://pins.example.com?a=b", []Option{key}, "must not have a query"},
		{"a fragment", "https://pins.example.com#a", []Option{key}, "must not have a query"},
		{"negative timeout", "https://pins.example.com", []Option{key, WithTimeout(-1)}, "negative"},
		{"negative attempts", "https://pins.example.com", []Option{key, WithRetry(Retry{Attempts: -1})}, "negative"},
	}
	for _, tt := range tests {
		c, err := New(tt.url, tt.opts...)
		if tt.want == "" && (err != nil || c == nil) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v; want %q", tt.name, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: the error shows the password: %v", tt.name, err)
		}
	}
}

func TestCredentials(t *testing.T) {
	asked := 0
	errNone := errors.New("no token today")
	tests := []struct {
		name   string
		option Option
		want   string
		err    string
	}{
		{"key", WithAPIKey("k1"), "App k1", ""},
		{"token", WithToken(StaticToken("t1")), "Bearer t1", ""},
		{"a new token each time", WithToken(func(context.Context) (string, error) { asked++; return "t2", nil }), "Bearer t2", ""},
		{"no token", WithToken(func(context.Context) (string, error) { return "", errNone }), "", "get account: token: no token today"},
		{"an empty token", WithToken(StaticToken("")), "", "get account: token: it is empty, or has characters that no token has"},
		{"a token with a line end", WithToken(StaticToken("hidden\n")), "", "get account: token: it is empty, or has characters that no token has"},
	}
	for _, tt := range tests {
		var got []string
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = append(got, r.Header.Get("Authorization"))
			if len(got) == 1 {
				problem(w, http.StatusServiceUnavailable)
				return
			}
			answers(w, http.StatusOK, "application/json", viewOf(t, r.RequestURI, ""))
		}))
		c, err := New(s.URL, tt.option, WithRetry(Retry{First: time.Nanosecond}))
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Account(t.Context(), "alice")
		if tt.err == "" && err != nil || tt.err != "" && (err == nil || err.Error() != tt.err) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.err)
		}
		if tt.want != "" && (len(got) != 2 || got[0] != tt.want || got[1] != tt.want) {
			t.Errorf("%s: credentials %q, want %s twice", tt.name, got, tt.want)
		}
		c.CloseIdleConnections()
		s.Close()
	}
	if asked != 2 {
		t.Errorf("asked for a token %d times, want for each try", asked)
	}
}

// The client has an HTTP client of its own, which trusts whom it is told to, and sends the
// credential nowhere else.
func TestOwnHTTPClient(t *testing.T) {
	leaked := make(chan string, 1)
	other := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { leaked <- r.Header.Get("Authorization") }))
	other.Config.ErrorLog = zap.NewStdLog(zap.NewNop())
	other.Start()
	defer other.Close()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/elsewhere") {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
			return
		}
		answers(w, http.StatusOK, "application/json", viewOf(t, r.RequestURI, ""), "X-Request-Id", r.Proto)
	}))
	s.EnableHTTP2 = true
	s.Config.ErrorLog = zap.NewStdLog(zap.NewNop()) // it would tell of the certificate refused
	s.StartTLS()
	defer s.Close()

	authority := x509.NewCertPool()
	authority.AddCert(s.Certificate())
	trusting, err := New(s.URL, WithAPIKey("k"), WithTLS(&tls.Config{RootCAs: authority}))
	if err != nil {
		t.Fatal(err)
	}
	defer trusting.CloseIdleConnections()
	if v, err := trusting.Account(t.Context(), "alice"); err != nil || v.RequestID != "HTTP/2.0" {
		t.Errorf("with the authority: %+v, %v; want an answer by HTTP/2", v, err)
	}
	var answer *Error
	if _, err := trusting.Account(t.Context(), "elsewhere"); !errors.As(err, &answer) || answer.Status != http.StatusTemporaryRedirect {
		t.Errorf("redirected: %v, want the redirect as the error", err)
	}
	select {
	case credential := <-leaked:
		t.Errorf("the credential %q went elsewhere", credential)
	default:
	}

	tried := 0
	wary, err := New(s.URL, WithAPIKey("k"), WithRetry(Retry{Notify: func(error, time.Duration) { tried++ }}))
	if err != nil {
		t.Fatal(err)
	}
	var refused *tls.CertificateVerificationError
	if _, err := wary.Account(t.Context(), "alice"); !errors.As(err, &refused) || tried > 0 {
		t.Errorf("without the authority: %v after %d more tries, want the certificate refused at once", err, tried)
	}
	plain, err := New(strings.Replace(other.URL, "http:", "https:", 1), WithAPIKey("k"), WithRetry(Retry{Notify: func(error, time.Duration) { tried++ }}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plain.Account(t.Context(), "alice"); err == nil || tried > 0 {
		t.Errorf("https of a plain server: %v after %d more tries, want an error at once", err, tried)
	}
}
