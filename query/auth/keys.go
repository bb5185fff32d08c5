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

	"github.com/MicahParks/jwkset"
)

// Algorithms are the signatures that tokens may have.
var Algorithms = []string{"RS256", "ES256", "EdDSA"}

// minRSABits is the smallest RSA key that RFC 7518 allows for RS256.
const minRSABits = 2048

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
	set := &keySet{raw: string(raw)}
	for _, k := range doc.Keys {
		if key, ok := parseKey(k); ok {
			set.keys = append(set.keys, key)
		}
	}
	if len(set.keys) == 0 {
		return nil, errors.New("JWK set: no key for RS256, ES256 or EdDSA signatures")
	}
	return set, nil
}

func parseKey(raw json.RawMessage) (signingKey, bool) {
	jwk, err := jwkset.NewJWKFromRawJSON(raw, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil {
		return signingKey{}, false
	}
	meta := jwk.Marshal()
	k := signingKey{id: meta.KID, key: jwk.Key()}
	switch key := k.key.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() >= minRSABits {
			k.algorithm = "RS256"
		}
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			k.algorithm = "ES256"
		}
	case ed25519.PublicKey:
		k.algorithm = "EdDSA"
	}
	switch {
	case k.algorithm == "":
		return signingKey{}, false
	case meta.ALG != "" && meta.ALG.String() != k.algorithm:
		return signingKey{}, false
	case meta.USE != "" && meta.USE != jwkset.UseSig:
		return signingKey{}, false
	}
	return k, true
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
