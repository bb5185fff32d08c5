package acceptance

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Paths are taken as they are sent, also those that no URL library sends: never normalised,
// never redirected.
func TestPathsAsSent(t *testing.T) {
	t.Parallel()
	p := serve(t, newConfig(t), "--data-dir", t.TempDir()).ready()
	b := connect(t, p.nats)
	p.projected(b.publish(
		smsStatus("acme", "2B67", "m1", "MESSAGE_DELIVERED"),
		smsStatus("acme", `a/b|"c`, "m1", "MESSAGE_REJECTED"),
		smsStatus("acme", "..", "m1", "MESSAGE_EXPIRED"),
	))
	for path, code := range map[string]int{
		"/2fa/1/pin/2B67/status":             http.StatusOK,
		"/2fa/1/pin/%32B67/status":           http.StatusOK,
		`/2fa/1/pin/a%2Fb|"c/status`:         http.StatusOK,
		`/2fa/1/pin/a/b|"c/status`:           http.StatusNotFound,
		"/2fa/1/pin/../status":               http.StatusOK,
		"/2fa/1/pin/%2E%2e/status":           http.StatusOK,
		"/2fa/1/pin/x/../2B67/status":        http.StatusNotFound,
		"/2fa/1//pin/2B67/status":            http.StatusNotFound,
		"//2fa/1/pin/2B67/status":            http.StatusNotFound,
		"/2fa/1/pin/2B67/status/":            http.StatusNotFound,
		"/2FA/1/pin/2B67/status":             http.StatusNotFound,
		"/2fa/1/pin/2b67/status":             http.StatusNotFound,
		"/2fa/1/pin//status":                 http.StatusBadRequest,
		"/2fa/1/pin/%00/status":              http.StatusBadRequest,
		"/2fa/1/pin/%ff/status":              http.StatusBadRequest,
		"/2fa/1/pin/2B67/status?x=/../%zz;&": http.StatusOK,
		"/":                                  http.StatusNotFound,
	} {
		if got := rawGet(t, p.base, path, "Authorization: App "+apiKeyOf("acme")); got != code {
			t.Errorf("GET %s answers %d, want %d", path, got, code)
		}
	}
}

// rawGet sends a request line as it is, and returns the code of the answer.
func rawGet(t *testing.T, base, path, header string) (code int) {
	t.Helper()
	host := strings.TrimPrefix(base, "http://")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\nConnection: close\r\n\r\n", path, host, header); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}
