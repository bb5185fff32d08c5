package openapi_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
	"github.com/pinstatus/pinstatus/query/openapi"
)

func start(t *testing.T) *querytest.Rig {
	t.Helper()
	d, err := openapi.New()
	if err != nil {
		t.Fatal(err)
	}
	return querytest.Start(t, querytest.Config{}, func(*query.Service, *auth.Authenticator) query.Dialect { return d })
}

func TestServed(t *testing.T) {
	r := start(t)
	for path, contentType := range map[string]string{"/openapi.yaml": "application/yaml", "/docs": "text/html; charset=utf-8"} {
		got := r.Get(path)
		if got.Code != 200 || got.Body == "" {
			t.Fatalf("%s: %d, %d bytes", path, got.Code, len(got.Body))
		}
		tag := got.Header.Get("ETag")
		for name, want := range map[string]string{
			"Content-Type":   contentType,
			"Content-Length": fmt.Sprint(len(got.Body)),
			"Cache-Control":  "public, max-age=300",
		} {
			if value := got.Header.Get(name); value != want {
				t.Errorf("%s: %s = %q; want %q", path, name, value, want)
			}
		}
		if d := r.Do(http.MethodHead, path).Diff(200, ""); d != "" {
			t.Errorf("HEAD %s: %s", path, d)
		}
		for header, code := range map[string]int{
			tag: 304, "W/" + tag: 304, `"other", ` + tag: 304, "*": 304, `"other"`: 200, tag[:len(tag)-1]: 200, "": 200,
		} {
			again := r.Get(path, "If-None-Match: "+header)
			if again.Code != code || again.Header.Get("ETag") != tag || again.Header.Get("Cache-Control") != "public, max-age=300" {
				t.Errorf("%s, If-None-Match: %s: %d %v; want %d", path, header, again.Code, again.Header, code)
			}
		}
		small := r.Get(path, "Accept-Encoding: gzip")
		if len(small.Body) > len(got.Body)/3 || small.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%s: %d bytes, compressed %d", path, len(got.Body), len(small.Body))
		}
		if again := r.Get(path, "If-None-Match: "+small.Header.Get("ETag")); again.Code != 304 {
			t.Errorf("%s: with the ETag of the compressed one: %d; want 304", path, again.Code)
		}
		refused := r.Do(http.MethodPost, path)
		if refused.Code != 405 || refused.Header.Get("Cache-Control") != "no-store" || refused.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("POST %s: %d %v", path, refused.Code, refused.Header)
		}
		if long := r.Get(path + "?" + strings.Repeat("x", 10<<10)); long.Code != 414 {
			t.Errorf("%s with too long a query: %d; want 414", path, long.Code)
		}
	}
	if got := r.Get("/openapi.yaml").Body; got != string(openapi.Document()) {
		t.Error("/openapi.yaml is not the document")
	}
}

// The page loads nothing, runs nothing, and has all links to itself in it.
func TestPage(t *testing.T) {
	got := start(t).Get("/docs")
	style := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindStringSubmatch(got.Body)
	if style == nil {
		t.Fatal("no style")
	}
	sum := sha256.Sum256([]byte(style[1]))
	policy := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	if p := got.Header.Get("Content-Security-Policy"); p != policy {
		t.Errorf("Content-Security-Policy = %q; want %q", p, policy)
	}
	tags := strings.Join(regexp.MustCompile(`<[^>]*>`).FindAllString(got.Body, -1), "") + style[1]
	for _, forbidden := range []string{"<script", "<link", "<img", "<iframe", " src=", " style=", "javascript:", "@import", "url(", "ZgotmplZ", "<no value>", "&lt;nil&gt;", "<!--"} {
		if strings.Contains(tags, forbidden) {
			t.Errorf("the page has %q", forbidden)
		}
	}
	if handler := regexp.MustCompile(` on[a-z]+=`).FindString(tags); handler != "" {
		t.Errorf("the page has%s", handler)
	}

	ids := make(map[string]int)
	for _, m := range regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(got.Body, -1) {
		ids[m[1]]++
	}
	for id, n := range ids {
		if n > 1 {
			t.Errorf("the page has %d places %q", n, id)
		}
	}
	links := regexp.MustCompile(` href="([^"]*)"`).FindAllStringSubmatch(got.Body, -1)
	if len(links) < 100 {
		t.Errorf("%d links; want many", len(links))
	}
	for _, m := range links {
		place, here := strings.CutPrefix(m[1], "#")
		switch {
		case here && ids[place] == 0:
			t.Errorf("a link to %q, which is not on the page", place)
		case !here && !strings.HasPrefix(m[1], "https://") && m[1] != "openapi.yaml":
			t.Errorf("a link to %q", m[1])
		}
	}
	for _, line := range strings.Split(string(openapi.Document()), "\n") {
		if id, ok := strings.CutPrefix(line, "      operationId: "); ok && ids[id] != 1 {
			t.Errorf("operation %s is not on the page", id)
		}
	}
	for _, want := range []string{
		`<a href="#schema-AccountPIN">AccountPIN</a>`,                       // a reference
		`<code>MESSAGE_DELIVERED</code></th><td>Message sent and delivered`, // a value
		`&#34;lockRemainingSeconds&#34;: 17`,                                // an example
		`curl -N -H &#34;Authorization: App $KEY&#34;`,                      // a sample
		`<code>errors[].source.parameter</code>`,                            // a member of a schema without a name
		"integer, 1 to 60",
	} {
		if !strings.Contains(got.Body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}
