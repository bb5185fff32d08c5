package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pinstatus/pinstatus/query/auth"
)

// maxJWKS is the largest key set that is read, in bytes: some hundred keys.
const maxJWKS = 1 << 20

// readJWKS reads an issuer's key set from its file, whose name is relative to the folder
// of the configuration file.
func readJWKS(p *problems, path, file string, is *Issuer) {
	if !filepath.IsAbs(is.JWKSFile) {
		is.JWKSFile = filepath.Join(filepath.Dir(file), is.JWKSFile)
	}
	text, err := readFile(is.JWKSFile, maxJWKS)
	if err != nil {
		p.add(path, "cannot be read: %v", err)
		return
	}
	if err := checkJWKS(text); err != nil {
		p.add(path, "%s: %v", is.JWKSFile, err)
		return
	}
	is.JWKS = text
}

// readFile reads a file of bounded size. What is no file is not opened: it might never
// end, or never begin.
func readFile(name string, largest int64) ([]byte, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a file", name)
	case info.Size() > largest:
		return nil, fmt.Errorf("%s is larger than %d bytes", name, largest)
	}
	return os.ReadFile(name)
}

// checkJWKS wants a JSON Web Key Set (RFC 7517) that tokens can be verified with. Keys for
// something else may stand beside those, secret ones must not.
func checkJWKS(text []byte) error {
	var set struct {
		Keys []struct {
			Type    string          `json:"kty"`
			Private json.RawMessage `json:"d"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return fmt.Errorf("not a JSON Web Key Set: %w", err)
	}
	if len(set.Keys) == 0 {
		return errors.New(`not a JSON Web Key Set: there are no "keys"`)
	}
	for i, k := range set.Keys {
		switch {
		case k.Private != nil:
			return fmt.Errorf("key %d is a private key: only its public half belongs here", i+1)
		case k.Type == "oct":
			return fmt.Errorf("key %d is a shared secret: tokens are signed with RS256, ES256 or EdDSA", i+1)
		}
	}
	return auth.CheckKeySet(text)
}
