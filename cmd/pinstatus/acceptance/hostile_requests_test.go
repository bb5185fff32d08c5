package acceptance

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// malformedRequests sends what is no HTTP, or HTTP that contradicts itself.
func malformedRequests(t *testing.T, b *besieged) {
	// For two of them HTTP itself asks for a code above 499.
	const unsupportedCoding, unsupportedVersion = http.StatusNotImplemented, http.StatusHTTPVersionNotSupported
	auth := "Authorization: Bearer " + b.operator("acme") + "\r\n"
	get := "GET /v1/accounts/a HTTP/1.1\r\n"
	post := "POST /v1/accounts:batchGet HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" + auth
	for name, request := range map[string]string{
		"nothing":                          "",
		"a line end":                       "\r\n\r\n\r\n",
		"zeros":                            strings.Repeat("\x00", 1000),
		"binary":                           "\xff\xfe\xfd\x80\x81",
		"TLS":                              "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("a", 512),
		"the broker's protocol":            "CONNECT {}\r\nPING\r\n",
		"Redis'":                           "*1\r\n$4\r\nPING\r\n",
		"HTTP/0.9":                         "GET /v1/accounts/a\r\n\r\n",
		"no method":                        " /v1/accounts/a HTTP/1.1\r\nHost: a\r\n\r\n",
		"a method with a NUL":              "G\x00T /v1/accounts/a HTTP/1.1\r\nHost: a\r\n\r\n",
		"no target":                        "GET  HTTP/1.1\r\nHost: a\r\n\r\n",
		"a target with a space":            "GET /v1/accounts/a b HTTP/1.1\r\nHost: a\r\n\r\n",
		"a target with a NUL":              "GET /v1/accounts/\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
		"a target with a line feed":        "GET /v1/accounts/\n HTTP/1.1\r\nHost: a\r\n\r\n",
		"a target in UTF-8":                "GET /v1/accounts/ü HTTP/1.1\r\nHost: a\r\n\r\n",
		"a target that is not UTF-8":       "GET /v1/accounts/\xff HTTP/1.1\r\nHost: a\r\n\r\n",
		"a broken escape":                  "GET /v1/accounts/%zz HTTP/1.1\r\nHost: a\r\n\r\n",
		"half an escape":                   "GET /v1/accounts/% HTTP/1.1\r\nHost: a\r\n\r\n",
		"an asterisk":                      "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
		"OPTIONS of all":                   "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
		"a proxy's target":                 "GET http://elsewhere/v1/accounts/a HTTP/1.1\r\nHost: a\r\n\r\n",
		"a tunnel":                         "CONNECT elsewhere:443 HTTP/1.1\r\nHost: elsewhere:443\r\n\r\n",
		"a tunnel to a path":               "CONNECT /v1/accounts/a HTTP/1.1\r\nHost: a\r\n\r\n",
		"no version":                       "GET /v1/accounts/a HTTP\r\nHost: a\r\n\r\n",
		"half a preface of HTTP/2":         "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
		"no host":                          get + "\r\n",
		"two hosts":                        get + "Host: a\r\nHost: b\r\n\r\n",
		"a host with a space":              get + "Host: a b\r\n\r\n",
		"a header without a colon":         get + "Host: a\r\nX\r\n\r\n",
		"a header without a name":          get + "Host: a\r\n: x\r\n\r\n",
		"a header name with a space":       get + "Host: a\r\nX : x\r\n\r\n",
		"a header name with a NUL":         get + "Host: a\r\nX\x00: x\r\n\r\n",
		"a header with a NUL":              get + "Host: a\r\nX: \x00\r\n\r\n",
		"a header with a carriage return":  get + "Host: a\r\nX: a\rb\r\n\r\n",
		"a folded header":                  get + "Host: a\r\nAuthorization:\r\n Bearer x\r\n\r\n",
		"a header that begins with a fold": get + " Host: a\r\n\r\n",
		"line feeds alone":                 "GET /v1/accounts/a HTTP/1.1\nHost: a\n\n",
		"an unknown expectation":           get + "Host: a\r\nExpect: the-unexpected\r\n\r\n",
		"an upgrade":                       get + "Host: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n",
		"a length that is none":            post + "Content-Length: many\r\n\r\n",
		"a negative length":                post + "Content-Length: -1\r\n\r\n",
		"a length with a sign":             post + "Content-Length: +2\r\n\r\n{}",
		"a length in hexadecimal":          post + "Content-Length: 0x2\r\n\r\n{}",
		"a length beyond all":              post + "Content-Length: 99999999999999999999\r\n\r\n{}",
		"the longest length":               post + "Content-Length: 9223372036854775807\r\n\r\n{}",
		"two lengths":                      post + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
		"two lengths in one":               post + "Content-Length: 2, 3\r\n\r\n{}",
		"length and chunks":                post + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"chunks twice":                     post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"chunks by halves":                 post + "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
		"a coding unknown":                 post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"a smuggled request":               post + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\nGET /v1/accounts/a HTTP/1.1\r\nHost: a\r\n\r\n",
		"no chunk's length":                post + "Transfer-Encoding: chunked\r\n\r\n{}\r\n0\r\n\r\n",
		"a negative chunk":                 post + "Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
		"a chunk beyond all":               post + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n",
		"the longest chunk":                post + "Transfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n{}\r\n",
		"a chunk longer than it says":      post + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}}}\r\n0\r\n\r\n",
		"a chunk's length with a NUL":      post + "Transfer-Encoding: chunked\r\n\r\n2\x00\r\n{}\r\n0\r\n\r\n",
		"bad trailers":                     post + "Transfer-Encoding: chunked\r\n\r\n0\r\n\x00: \x00\r\n\r\n",
		"half a body":                      post + "Content-Length: 1000\r\n\r\n{",
		"no JSON":                          post + "Content-Length: 4\r\n\r\n\x00\x01\x02\x03",
		"JSON without end":                 post + "Content-Length: 20000\r\n\r\n" + strings.Repeat("[", 20000),
		"ids that are none":                post + "Content-Length: 30\r\n\r\n" + `{"ids":[null,{},[],1,true,""]}`,
		"a method in small letters":        "get /v1/accounts/a HTTP/1.1\r\nHost: a\r\n" + auth + "\r\n",
		"a method unheard of":              "FROBNICATE /v1/accounts/a HTTP/1.1\r\nHost: a\r\n" + auth + "\r\n",
		"TRACE":                            "TRACE /v1/accounts/a HTTP/1.1\r\nHost: a\r\n" + auth + "\r\n",
		"a coding that is not spoken":      post + "Transfer-Encoding: gzip\r\n\r\n",
		"a version that is not spoken":     "GET /v1/accounts/a HTTP/9.9\r\nHost: a\r\n\r\n",
	} {
		codes := map[string]int{
			"a coding that is not spoken": unsupportedCoding, "chunks by halves": unsupportedCoding, "a coding unknown": unsupportedCoding,
			"chunks twice": unsupportedCoding, "a version that is not spoken": unsupportedVersion,
		}
		if err := b.refuses(request, codes[name]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// tooMuch sends more than anybody may, of everything.
func tooMuch(t *testing.T, b *besieged) {
	auth := "Authorization: Bearer " + b.operator("acme") + "\r\n"
	get := "GET /v1/accounts/a HTTP/1.1\r\nHost: a\r\n" + auth
	post := "POST /v1/accounts:batchGet HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" + auth
	chunked := post + "Transfer-Encoding: chunked\r\n\r\n"
	const mega = 1 << 20
	a := func(n int) string { return strings.Repeat("a", n) }
	for name, request := range map[string]string{
		"a path":             "GET /v1/accounts/" + a(mega) + " HTTP/1.1\r\nHost: a\r\n\r\n",
		"a path not much":    "GET /v1/accounts/" + a(10_000) + " HTTP/1.1\r\nHost: a\r\n" + auth + "\r\n",
		"a query":            "GET /user/pin?timeout=" + a(mega) + " HTTP/1.1\r\nHost: a\r\n\r\n",
		"a query not much":   "GET /user/pin?timeout=" + a(10_000) + " HTTP/1.1\r\nHost: a\r\n" + auth + "\r\n",
		"a method":           a(mega) + " / HTTP/1.1\r\nHost: a\r\n\r\n",
		"a host":             "GET / HTTP/1.1\r\nHost: " + a(mega) + "\r\n\r\n",
		"a header":           get + "X: " + a(mega) + "\r\n\r\n",
		"a header's name":    get + a(mega) + ": a\r\n\r\n",
		"headers":            get + strings.Repeat("X: a\r\n", 100_000) + "\r\n",
		"names":              get + strings.Repeat(":", mega) + "\r\n\r\n",
		"tags":               get + "If-None-Match: " + strings.Repeat(`"a",`, 100_000) + "\r\n\r\n",
		"preferences":        get + "Prefer: " + strings.Repeat("wait=1,", 100_000) + "\r\n\r\n",
		"preferences enough": get + "Prefer: " + strings.Repeat("wait=1,", 4000) + "\r\n\r\n",
		"a body":             post + "Content-Length: 10485760\r\n\r\n" + a(10*mega),
		"a body of JSON":     post + fmt.Sprintf("Content-Length: %d\r\n\r\n", 10*mega) + `{"ids":["` + a(10*mega-11) + `"]}`,
		"ids":                post + fmt.Sprintf("Content-Length: %d\r\n\r\n", 8+4*1000+5) + `{"ids":[` + strings.Repeat(`"a",`, 1000) + `"a"]}`,
		"a body for nobody":  get + "Content-Length: 10485760\r\n\r\n" + a(10*mega),
		"a body to nowhere":  "POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 10485760\r\n\r\n" + a(10*mega),
		"a chunk":            chunked + "a00000\r\n" + a(10*mega) + "\r\n0\r\n\r\n",
		"chunks":             chunked + strings.Repeat("1\r\na\r\n", 500_000) + "0\r\n\r\n",
		"a chunk's words":    chunked + "1;" + a(mega) + "\r\na\r\n0\r\n\r\n",
		"words of chunks":    chunked + strings.Repeat("1;"+a(1000)+"\r\na\r\n", 1000) + "0\r\n\r\n",
		"trailers":           chunked + "0\r\n" + strings.Repeat("X: a\r\n", 100_000) + "\r\n",
	} {
		if err := b.refuses(request); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// pathTricks asks for paths that might be taken for others. Nothing is there, not even for
// who may read everything of the tenant.
func pathTricks(t *testing.T, b *besieged) {
	headers := []string{"Authorization", "Bearer " + b.operator("acme"), "nv-tenant-id", "acme"}
	ids := []string{
		"..", ".", "%2E%2E", "%2e%2e%2f%2e%2e", "..%2F..%2Fetc%2Fpasswd", "..%5C..%5C", "%00", "a%00", "%0d%0aX-Injected:%20a", "%0a", "%7f", "%C0%AF",
		"%c0%ae%c0%ae", "%ff", "%ed%a0%80", "%25", "%252e%252e", "a%2Fpins%2Fstatus", ";a=b", "a;jsessionid=1", "~", "*", ">", "%3Cscript%3E",
		"a%20b", "%20", strings.Repeat("a", 257), strings.Repeat("%61", 257), strings.Repeat("%F0%9F%98%80", 65), "2B67%2F..%2F2B67",
	}
	paths := []string{
		"/", "//", "/..", "/../..", "/%2e%2e/", "/v1", "/v1/", "/v1/accounts", "/v1/accounts/", "/v1//accounts/a", "//v1/accounts/a", "/v1/accounts/a/",
		"/v1/accounts//watch", "/V1/accounts/a", "/v1/accounts/../pinTypes", "/v1/%61ccounts/a", "/v1/./pinTypes", "/v1/pinTypes/", "/v1/pinTypes//",
		"/v1/pinTypes%2F", "/v1/pinTypes%00", "/v1/pinTypes.json", "/v1/pins%3AbatchGet", "/adm/v1/accounts/a/pins/status/", "/adm/v1/accounts//pins/status",
		"/adm/v1/accounts/a/../b/pins/status", "/2fa/1/pin/2B67/status/", "/2fa/1/pin//status", "/2fa//1/pin/2B67/status", "/2fa/1/pin/2B67/status/..",
		"/user/../user/pin", "/user/2024-1/user/pin/", "/user//user/pin", "/metrics", "/debug/pprof/", "/readyz", "/openapi.yaml/", "/openapi.yaml/..", "/docs/",
		"/docs/../openapi.yaml", "/" + strings.Repeat("a/", 3000), "/" + strings.Repeat("../", 2000), "/" + strings.Repeat("/", 5000), "/" + strings.Repeat("%2F", 2000),
	}
	for _, id := range ids {
		for _, pattern := range []string{"/v1/accounts/{}", "/v1/accounts/{}/watch", "/v1/pins/{}", "/adm/v1/accounts/{}/pins/status", "/2fa/1/pin/{}/status", "/user/{}/user/pin"} {
			if strings.HasSuffix(pattern, "/watch") && !malformedID(id) {
				continue // waits for a view that is not there yet
			}
			paths = append(paths, strings.ReplaceAll(pattern, "{}", id))
		}
	}
	lines := &strings.Builder{}
	for i := 0; i < len(headers); i += 2 {
		lines.WriteString(headers[i] + ": " + headers[i+1] + "\r\n")
	}
	each(t, "path tricks", len(paths), 8, func(i int) error {
		request := "GET " + paths[i] + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + lines.String() + "\r\n"
		if err := b.refuses(request); err != nil {
			return fmt.Errorf("%.100s: %w", paths[i], err)
		}
		return nil
	})
}

// malformedID reports whether an id, as it stands in a path, is none.
func malformedID(id string) bool {
	for _, bad := range []string{"%00", "%0a", "%0d", "%7f", "%C0", "%c0", "%ff", "%ed"} {
		if strings.Contains(id, bad) {
			return true
		}
	}
	return len(id) > 256
}
