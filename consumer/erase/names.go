package erase

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/consumer/letters"
)

// keys are what is to be erased, to be found in dead letters.
type keys map[Key]bool

// in are the keys that a dead letter is about: its event was published on the key's subject,
// in whatever spelling, or its payload or header names the id.
func (k keys) in(l *letters.Letter) []Key {
	var found []Key
	seen := map[Key]bool{}
	add := func(kind Kind, tenant, id string) {
		if key := (Key{kind, tenant, id}); k[key] && !seen[key] {
			seen[key] = true
			found = append(found, key)
		}
	}
	subject := strings.Split(strings.TrimPrefix(l.Subject, event.SubjectPrefix+"."), ".")
	tenants := []string{l.Tenant}
	if len(subject) >= 3 {
		id := strings.Join(subject[2:], ".") // a key that was not escaped at all
		for _, kind := range kinds(subject[0]) {
			add(kind, subject[1], id)
			if unescaped, err := url.PathUnescape(id); err == nil {
				add(kind, subject[1], unescaped)
			}
		}
	}
	named := namesIn(l.Payload)
	header, _ := l.Header()
	for name, values := range header {
		for _, value := range values {
			if unescaped, err := url.PathUnescape(value); err == nil {
				value = unescaped
			}
			switch {
			case strings.EqualFold(name, "ce-subject"):
				named.subjects = append(named.subjects, value)
			case strings.EqualFold(name, "ce-tenant"):
				named.tenants = append(named.tenants, value)
			}
		}
	}
	for _, tenant := range append(tenants, named.tenants...) {
		for _, id := range named.codes {
			add(Code, tenant, id)
		}
		for _, id := range named.accounts {
			add(Account, tenant, id)
		}
		for _, id := range named.subjects {
			for _, kind := range kinds(l.Family) {
				add(kind, tenant, id)
			}
		}
		if !named.readable {
			for key := range k {
				if key.Tenant == tenant && quotes(l.Payload, key.ID) {
					add(key.Kind, tenant, key.ID)
				}
			}
		}
	}
	return found
}

// kinds are those that the key of a family's events may be of: both if there is no such
// family.
func kinds(family string) []Kind {
	f, ok := event.ParseFamily(family)
	switch {
	case !ok:
		return []Kind{Code, Account}
	case f.OnCode():
		return []Kind{Code}
	}
	return []Kind{Account}
}

// names are the ids and tenants in a payload.
type names struct {
	codes, accounts, subjects, tenants []string

	readable bool // to its end
}

// namesIn finds them, at any depth and also where a member is given twice: what is a dead
// letter need not look like an event.
func namesIn(payload []byte) names {
	var found names
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	var objects []bool // of what is open, innermost last: an object, else an array
	name, isName := "", false
	for {
		token, err := d.Token()
		if err != nil {
			found.readable = len(objects) == 0 && d.InputOffset() > 0 && len(bytes.TrimSpace(payload[d.InputOffset():])) == 0
			return found
		}
		inObject := len(objects) > 0 && objects[len(objects)-1]
		switch t := token.(type) {
		case json.Delim:
			if t == '{' || t == '[' {
				objects = append(objects, t == '{')
			} else {
				objects = objects[:len(objects)-1]
			}
			isName = len(objects) > 0 && objects[len(objects)-1]
			if t == '[' {
				isName = false
			}
		default:
			if inObject && isName {
				name, _ = t.(string)
				isName = false
				continue
			}
			if value, ok := t.(string); ok && inObject {
				found.add(name, value)
			}
			isName = inObject
		}
	}
}

func (n *names) add(name, value string) {
	switch strings.ToLower(name) {
	case "pinid":
		n.codes = append(n.codes, value)
	case "accountid":
		n.accounts = append(n.accounts, value)
	case "subject":
		n.subjects = append(n.subjects, value)
	case "tenant":
		n.tenants = append(n.tenants, value)
	}
}

// quotes reports whether text that is no JSON holds the id in double quotes.
func quotes(text []byte, id string) bool {
	if bytes.Contains(text, []byte(`"`+id+`"`)) {
		return true
	}
	quoted, err := json.Marshal(id)
	return err == nil && bytes.Contains(text, quoted)
}
