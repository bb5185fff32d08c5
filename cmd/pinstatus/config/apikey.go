package config

import (
	"encoding/hex"
	"time"

	"go.yaml.in/yaml/v4"
)

// Check says what is wrong with an API key that is to go into a file. The error joins one
// *Error for each thing, with a path like apiKey.name.
func (k *APIKey) Check() error {
	p := newProblems("")
	newAccess(p).key(k, "apiKey")
	return p.err()
}

// YAML is the member apiKeys of a tenant in a file, with this key alone.
func (k *APIKey) YAML() ([]byte, error) {
	type entry struct {
		Name      string   `yaml:"name"`
		SHA256    string   `yaml:"sha256"`
		Scopes    []string `yaml:"scopes,flow,omitempty"`
		NotBefore string   `yaml:"notBefore,omitempty"`
		Expires   string   `yaml:"expires,omitempty"`
	}
	return yaml.Dump(map[string][]entry{"apiKeys": {{
		Name:      k.Name,
		SHA256:    hex.EncodeToString(k.SHA256[:]),
		Scopes:    k.Scopes,
		NotBefore: written(k.NotBefore),
		Expires:   written(k.Expires),
	}}}, yaml.WithCompactSeqIndent(false), yaml.WithLineWidth(-1), yaml.WithQuotePreference(yaml.QuoteDouble))
}

// written is a time as it stands in a file; empty if it is zero.
func written(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
