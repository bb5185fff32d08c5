package conform

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Exchange is a request and its answer.
type Exchange struct {
	Method        string
	Target        string // path and query, as they were sent
	RequestHeader http.Header
	RequestBody   []byte

	Code   int
	Header http.Header
	Body   []byte
	Cut    bool // Body was not read to its end
}

// Check says in what way an exchange does not conform; nil if it does.
func (a *API) Check(x *Exchange) error {
	if err := a.check(x); err != nil {
		return fmt.Errorf("%s %s: %d: not as described: %w", x.Method, x.Target, x.Code, err)
	}
	return nil
}

func (a *API) check(x *Exchange) error {
	target, _, _ := strings.Cut(x.Target, "?")
	p, values := a.find(target)
	if p == nil {
		return a.checkNowhere(x)
	}
	method := x.Method
	if method == http.MethodHead && p.operations[method] == nil {
		method = http.MethodGet
	}
	op := p.operations[method]
	if op == nil {
		return p.checkOtherMethod(x)
	}
	request := op.checkRequest(x, values)
	// A path whose parameters are not as described may be nobody's.
	if request != nil && x.Code == http.StatusNotFound && a.checkNowhere(x) == nil {
		return nil
	}
	if x.Code >= http.StatusBadRequest {
		request = nil // it was not accepted, and need not be right
	}
	return errors.Join(request, op.checkAnswer(x))
}

// checkNowhere checks the answer for a path that is not described.
func (a *API) checkNowhere(x *Exchange) error {
	if x.Code != http.StatusNotFound && x.Code != http.StatusRequestURITooLong {
		return errors.New("the path is not described")
	}
	return a.nowhere().check(x)
}

// nowhere is the answer for a path that is not described.
func (a *API) nowhere() *response {
	return &response{
		headers: map[string]header{"X-Request-Id": {required: true}},
		content: map[string]*media{"application/problem+json": a.problem},
	}
}

// checkOtherMethod checks the answer for a method that is not described: it is described
// with the methods that are.
func (p *path) checkOtherMethod(x *Exchange) error {
	if x.Code != http.StatusMethodNotAllowed && x.Code != http.StatusRequestURITooLong {
		return errors.New("the method is not described")
	}
	if got := x.Header.Get("Allow"); x.Code == http.StatusMethodNotAllowed && got != p.allow() {
		return fmt.Errorf("header Allow is %q; described is %q", got, p.allow())
	}
	for _, op := range p.operations {
		if r := op.responses[strconv.Itoa(x.Code)]; r != nil {
			return r.check(x)
		}
	}
	return errors.New("the code is not described with any method of the path")
}

func (op *operation) checkAnswer(x *Exchange) error {
	r := op.responses[strconv.Itoa(x.Code)]
	if r == nil {
		return errors.New("the code is not described")
	}
	return r.check(x)
}
