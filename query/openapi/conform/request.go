package conform

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// checkRequest checks a request that was accepted; values are those of the path.
func (op *operation) checkRequest(x *Exchange, values map[string]string) error {
	var faults []error
	query := queryOf(x.Target)
	for i := range op.parameters {
		p := &op.parameters[i]
		given, err := p.given(x, values, query)
		if err == nil && len(given) == 0 && p.required {
			err = errors.New("not given")
		}
		for _, value := range given {
			err = errors.Join(err, checkText(p.schema, value))
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s parameter %s: %w", p.in, p.name, err))
		}
	}
	if len(op.security) > 0 && !op.admits(x.RequestHeader) {
		faults = append(faults, errors.New("no credential of those described"))
	}
	return errors.Join(append(faults, op.checkBody(x))...)
}

// given are the values of a parameter.
func (p *parameter) given(x *Exchange, path map[string]string, query map[string][]string) ([]string, error) {
	switch p.in {
	case "path":
		value, err := url.PathUnescape(path[p.name])
		return []string{value}, err
	case "query":
		return query[p.name], nil
	case "header":
		return x.RequestHeader.Values(p.name), nil
	}
	return nil, errors.New("this package does not read it")
}

// queryOf are the parameters of a query, those left out that are malformed: they are
// ignored.
func queryOf(target string) map[string][]string {
	_, query, _ := strings.Cut(target, "?")
	values := make(map[string][]string)
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, err1 := url.QueryUnescape(name)
		value, err2 := url.QueryUnescape(value)
		if err1 == nil && err2 == nil {
			values[name] = append(values[name], value)
		}
	}
	return values
}

func (op *operation) admits(h http.Header) bool {
	for _, all := range op.security {
		given := true
		for _, s := range all {
			value := h.Get(s.header)
			given = given && value != "" && strings.HasPrefix(strings.ToLower(value), s.prefix)
		}
		if given {
			return true
		}
	}
	return false
}

func (op *operation) checkBody(x *Exchange) error {
	switch {
	case op.body == nil: // one that is sent nevertheless is ignored
		return nil
	case len(x.RequestBody) == 0 && !op.bodyNeeded:
		return nil
	}
	if err := checkContent(op.body, x.RequestHeader.Get("Content-Type"), x.RequestBody); err != nil {
		return fmt.Errorf("request body: %w", err)
	}
	return nil
}
