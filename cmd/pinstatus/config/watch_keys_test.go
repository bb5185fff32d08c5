package config

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

// A key set that changes alone is taken, however it is put in place.
func TestWatchKeySet(t *testing.T) {
	version := 0
	for name, put := range map[string]func(tb testing.TB, file, text string){
		"written in place": writeInPlace,
		"renamed over":     write,
		"mounted": func(tb testing.TB, file, text string) {
			tb.Helper()
			version++
			mount(tb, file, fmt.Sprintf("..%d", version), text)
		},
	} {
		t.Run(name, func(t *testing.T) { testWatchKeySet(t, put) })
	}
}

func testWatchKeySet(t *testing.T, put func(tb testing.TB, file, text string)) {
	t.Helper()
	dir, keys := t.TempDir(), t.TempDir()
	file := filepath.Join(dir, "pinstatus.yaml")
	jwks := filepath.Join(keys, "jwks.json")
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	x := base64.RawURLEncoding.EncodeToString(key[ed25519.SeedSize:]) // its public half
	set := func(kid string) string {
		return `{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "` + kid + `", "x": "` + x + `"}]}`
	}
	put(t, jwks, set("one"))
	write(t, file, `tenants: [{id: a, pinTypes: [{name: X}], tokens: [{issuer: "https://a.example", audience: a, jwksFile: `+jwks+`}]}]`)
	w := watch(t, file, 24*time.Hour).ready()
	defer w.stop()

	put(t, jwks, set("two"))
	select {
	case c := <-w.changes:
		if got := string(c.tenants[0].Issuers[0].JWKS); got != set("two") {
			t.Errorf("key set %s, want the new one", got)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("no new configuration")
	}
	put(t, jwks, "{")
	w.logged("refused")
	put(t, jwks, set("two"))
	w.logged("unchanged")
}
