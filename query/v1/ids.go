package v1

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pinstatus/pinstatus/query/wire"
)

// parseIDs reads the body of a wire.BatchRequest: 1 to wire.MaxBatch strings, which need be
// no ids. It takes nothing that another reader might take for something else: no member
// twice or in another spelling, no text that is not Unicode, nothing behind the object. The
// error is a *refusal that names the place.
func parseIDs(body []byte) ([]string, error) {
	if !utf8.Valid(body) {
		return nil, badBody("not UTF-8")
	}
	p := idParser{dec: json.NewDecoder(bytes.NewReader(body))}
	ids, err := p.object()
	if err != nil {
		return nil, badBody(err.Error())
	}
	return ids, nil
}

type idParser struct{ dec *json.Decoder }

func (p *idParser) object() ([]string, error) {
	if err := p.delim('{', "not an object"); err != nil {
		return nil, err
	}
	var ids []string
	for p.dec.More() {
		t, err := p.dec.Token()
		if err != nil {
			return nil, p.fault(err)
		}
		name, _ := t.(string) // the name of a member is always one
		switch {
		case name != "ids":
			return nil, fmt.Errorf("unknown member %s", quote(name))
		case ids != nil:
			return nil, errors.New("ids: given twice")
		}
		if ids, err = p.ids(); err != nil {
			return nil, err
		}
	}
	if _, err := p.dec.Token(); err != nil { // the closing brace
		return nil, p.fault(err)
	}
	if ids == nil {
		return nil, errors.New("ids: missing")
	}
	if _, err := p.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more text behind the object")
	}
	return ids, nil
}

func (p *idParser) ids() ([]string, error) {
	if err := p.delim('[', "ids: not a list"); err != nil {
		return nil, err
	}
	ids := make([]string, 0, 16)
	for p.dec.More() {
		if len(ids) == wire.MaxBatch {
			return nil, fmt.Errorf("ids: more than %d", wire.MaxBatch)
		}
		var raw json.RawMessage
		if err := p.dec.Decode(&raw); err != nil {
			return nil, p.fault(err)
		}
		var id string
		if raw[0] != '"' || json.Unmarshal(raw, &id) != nil || loneSurrogate(raw) {
			return nil, fmt.Errorf("ids[%d]: not a string of Unicode", len(ids))
		}
		ids = append(ids, id)
	}
	if _, err := p.dec.Token(); err != nil { // the closing bracket
		return nil, p.fault(err)
	}
	if len(ids) == 0 {
		return nil, errors.New("ids: none given")
	}
	return ids, nil
}

// delim reads a delimiter; otherwise is the error if it is something else.
func (p *idParser) delim(want json.Delim, otherwise string) error {
	switch t, err := p.dec.Token(); {
	case err != nil:
		return p.fault(err)
	case t != want:
		return errors.New(otherwise)
	}
	return nil
}

// fault is where a body stops being JSON.
func (p *idParser) fault(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("ends too early")
	}
	return fmt.Errorf("not JSON near byte %d", p.dec.InputOffset())
}

// loneSurrogate reports whether a JSON string has half of a surrogate pair, which
// encoding/json replaces: ids that differ would become one.
func loneSurrogate(raw []byte) bool {
	high := false
	for i := 0; i < len(raw); i++ {
		unit := -1
		if raw[i] == '\\' {
			i++
			if raw[i] == 'u' {
				n, _ := strconv.ParseUint(string(raw[i+1:i+5]), 16, 16) // checked when it was read
				unit = int(n)
				i += 4
			}
		}
		if low := unit >= 0xdc00 && unit < 0xe000; low != high {
			return true
		}
		high = unit >= 0xd800 && unit < 0xdc00
	}
	return high
}

// quote is a name from a request as it can be answered.
func quote(name string) string {
	const most = 64
	if len(name) > most {
		name = strings.ToValidUTF8(name[:most], "") + "…"
	}
	return strconv.Quote(name)
}
