package query

import (
	"context"
	"runtime/debug"
	"slices"
)

// Await has a request wait, and is for a handler to return: then wait is called, and after
// it then, which answers as a handler does; it may Await again.
//
// A handler could as well wait by itself. But many requests wait at the same time, and
// one that waits so keeps neither the handler's stack nor those of its callers.
func Await(ctx context.Context, wait func(), then func() error) error {
	x := exchangeOf(ctx)
	if x.workers == nil { // not a request of a Server's
		wait()
		return then()
	}
	x.wait, x.then = wait, then
	return nil
}

// AtEnd has f called when the handlers of a Server's request with ctx have ended, however
// they do, the last one given first.
func AtEnd(ctx context.Context, f func()) {
	x := exchangeOf(ctx)
	x.atEnd = append(x.atEnd, f)
}

// end calls what AtEnd was given. A panic is for finish to contain.
func (x *exchange) end() {
	for _, f := range slices.Backward(x.atEnd) {
		func() {
			defer x.contain()
			f()
		}()
	}
}

// await waits. A panic is for finish to contain.
func (x *exchange) await() {
	defer x.contain()
	x.wait()
}

// contain is to be deferred.
func (x *exchange) contain() {
	if fault := recover(); fault != nil {
		x.fault, x.stack = fault, debug.Stack()
	}
}
