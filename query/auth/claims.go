package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// claims are the members of a token that count.
type claims struct {
	jwt.RegisteredClaims
	scope string // separated by spaces

	// client says that the token has an account_id at all. Whatever it is, the token is
	// not an operator's: accountID is empty where it is no string.
	client    bool
	accountID string
}

const claimAccountID = "account_id"

// UnmarshalJSON reads claims by their exact names. encoding/json would take "Account_ID"
// for account_id too, and the last of several: what another reader of the same token, such
// as the issuer's own checks, reads differently is refused here.
func (c *claims) UnmarshalJSON(raw []byte) error {
	members, err := membersOf(raw)
	if err != nil {
		return err
	}
	for name, value := range members {
		if string(value) == "null" && name != claimAccountID {
			continue // as if it were not there
		}
		var err error
		switch name {
		case "iss":
			err = json.Unmarshal(value, &c.Issuer)
		case "sub":
			err = json.Unmarshal(value, &c.Subject)
		case "aud":
			err = json.Unmarshal(value, &c.Audience)
		case "exp":
			c.ExpiresAt, err = numericDate(value)
		case "nbf":
			c.NotBefore, err = numericDate(value)
		case "iat":
			c.IssuedAt, err = numericDate(value)
		case "scope":
			err = json.Unmarshal(value, &c.scope)
		case claimAccountID:
			c.client = true
			if json.Unmarshal(value, &c.accountID) != nil {
				c.accountID = ""
			}
		}
		if err != nil {
			return fmt.Errorf("claim %s: %w", name, err)
		}
	}
	return nil
}

// membersOf are the claims of a JSON object that count, by their names.
func membersOf(raw []byte) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("claims are no object")
	}
	members := make(map[string]json.RawMessage)
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, err
		}
		given, _ := t.(string) // the name of a member is always one
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		name, ok := claimName(given)
		if !ok {
			continue
		}
		if given != name {
			return nil, fmt.Errorf("claim %s: written otherwise", name)
		}
		if _, twice := members[name]; twice {
			return nil, fmt.Errorf("claim %s: given twice", name)
		}
		members[name] = value
	}
	return members, nil
}

// claimName is the claim that a member's name is a spelling of, in any case; ok if it is
// one that counts.
func claimName(given string) (name string, ok bool) {
	for _, name := range []string{"iss", "sub", "aud", "exp", "nbf", "iat", "scope", claimAccountID} {
		if strings.EqualFold(given, name) {
			return name, true
		}
	}
	return "", false
}

// maxSeconds is the largest time that is told exactly, in seconds from 1970 either way.
const maxSeconds = 1 << 53

// numericDate reads a NumericDate (RFC 7519): a number and nothing else.
func numericDate(raw json.RawMessage) (*jwt.NumericDate, error) {
	var seconds float64
	if err := json.Unmarshal(raw, &seconds); err != nil {
		return nil, err
	}
	if seconds < -maxSeconds || seconds > maxSeconds {
		return nil, errors.New("out of range")
	}
	return jwt.NewNumericDate(time.Unix(int64(seconds), 0)), nil
}
