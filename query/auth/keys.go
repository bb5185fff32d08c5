package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/MicahParks/jwkset"
)

// Algorithms are the signatures that tokens may have.
var Algorithms = []string{"RS256", "ES256", "EdDSA"}

const (
	// minRSABits is the smallest RSA key that RFC 7518 allows for RS256.
	minRSABits = 2048

	// maxRSABits bounds what it costs to verify a signature.
	maxRSABits = 8192

	// maxKeys is the most keys that a set may have: every token looks through them.
	maxKeys = 100
)

// keySet is an issuer's keys as of one fetch. It is not changed.
type keySet struct {
	raw  string // the document; equal documents keep the set, and what it has verified
	keys []signingKey
}

// signingKey verifies signatures of one algorithm: the one that the kind of the key
// leaves, whatever a token says.
type signingKey struct {
	id        string
	algorithm string
	key       crypto.PublicKey
}

// CheckKeySet says why an Authenticator would not take a JWK set (RFC 7517) as an issuer's
// keys: it is none, or no key in it verifies RS256, ES256 or EdDSA signatures. The error
// says what is wrong with each key. Unusable keys beside a usable one are no error.
func CheckKeySet(raw []byte) error {
	_, err := parseKeys(raw)
	return err
}

// parseKeys reads a JWK set (RFC 7517). Keys that are not for one of Algorithms, or not for
// signatures, or cannot be read, are left out, as RFC 7517 asks; a set of which none is
// left is an error.
func parseKeys(raw []byte) (*keySet, error) {
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("JWK set: %w", err)
	}
	if len(doc.Keys) > maxKeys {
		return nil, fmt.Errorf("JWK set: %d keys, more than %d", len(doc.Keys), maxKeys)
	}
	set := &keySet{raw: string(raw)}
	var unusable []string
	for i, k := range doc.Keys {
		key, err := parseKey(k)
		if err != nil {
			unusable = append(unusable, fmt.Sprintf("key %d: %v", i+1, err))
			continue
		}
		set.keys = append(set.keys, key)
	}
	if len(set.keys) == 0 {
		const none = "JWK set: no key for RS256, ES256 or EdDSA signatures"
		if len(unusable) == 0 {
			return nil, errors.New(none)
		}
		return nil, errors.New(none + ": " + strings.Join(unusable[:min(len(unusable), maxReasons)], "; "))
	}
	return set, nil
}

// maxReasons bounds how many unusable keys an error tells of.
const maxReasons = 10

// lacks is how many of the keys of another set, which may be nil, are not in this one.
func (s *keySet) lacks(other *keySet) int {
	n := 0
	if other != nil {
		for _, k := range other.keys {
			if !slices.ContainsFunc(s.keys, k.equal) {
				n++
			}
		}
	}
	return n
}

func (k signingKey) equal(other signingKey) bool {
	key, ok := k.key.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.id == other.id && key.Equal(other.key)
}

// parseKey reads one key of a set; the error says why it is not usable.
func parseKey(raw json.RawMessage) (signingKey, error) {
	jwk, err := jwkset.NewJWKFromRawJSON(raw, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil {
		return signingKey{}, err
	}
	meta := jwk.Marshal()
	k := signingKey{id: meta.KID, key: jwk.Key()}
	if k.algorithm, err = algorithmOf(k.key); err != nil {
		return signingKey{}, err
	}
	switch {
	case meta.ALG != "" && meta.ALG.String() != k.algorithm:
		return signingKey{}, fmt.Errorf("is for %q, not %s", meta.ALG, k.algorithm)
	case meta.USE != "" && meta.USE != jwkset.UseSig:
		return signingKey{}, fmt.Errorf("is for use %q, not signatures", meta.USE)
	}
	return k, nil
}

// algorithmOf is the one of Algorithms that a public key is for. The error says why it is
// for none.
func algorithmOf(key crypto.PublicKey) (string, error) {
	switch key := key.(type) {
	case *rsa.PublicKey:
		switch bits := key.N.BitLen(); {
		case bits < minRSABits:
			return "", fmt.Errorf("RSA key of %d bits, fewer than %d", bits, minRSABits)
		case bits > maxRSABits:
			return "", fmt.Errorf("RSA key of %d bits, more than %d", bits, maxRSABits)
		}
		if key.E < 3 || key.E > math.MaxInt32 || key.E%2 == 0 {
			return "", errors.New("RSA key with an improper exponent")
		}
		return "RS256", nil
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() {
			return "", errors.New("EC key on another curve than P-256")
		}
		if _, err := key.ECDH(); err != nil {
			return "", errors.New("EC key whose point is not on its curve")
		}
		return "ES256", nil
	case ed25519.PublicKey:
		return "EdDSA", nil
	}
	return "", errors.New("not a kind of key for RS256, ES256 or EdDSA")
}

// find is the key with the id for the algorithm. A token that names no key is for the only
// one of its algorithm, if there is only one.
func (s *keySet) find(id, algorithm string) (crypto.PublicKey, bool) {
	var found []crypto.PublicKey
	for _, k := range s.keys {
		if k.algorithm == algorithm && (id == "" || k.id == id) {
			found = append(found, k.key)
		}
	}
	if len(found) != 1 {
		return nil, false
	}
	return found[0], true
}
