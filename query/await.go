package query

import (
	"context"
	"runtime/debug"
)

// Await has a request wait, and is for a handler to return: then wait is called, and after
// it then, which answers as a handler does; it may Await again.
//
// A handler could as well wait by itself. But many requests wait at the same time, and
// one that waits so keeps neither the handler's stack nor those of its callers.
func Await(ctx context.Context, wait func(), then func() error) error {
	x := exchangeOf(ctx)
	x.wait, x.then = wait, then
	return nil
}

// AtEnd has f called when the handlers of the request with ctx have ended, however they do.
func AtEnd(ctx context.Context, f func()) { exchangeOf(ctx).atEnd = f }

// await waits. A panic is for finish to contain.
func (x *exchange) await() {
	defer func() {
		if fault := recover(); fault != nil {
			x.fault, x.stack = fault, debug.Stack()
		}
	}()
	x.wait()
}
