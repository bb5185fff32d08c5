package main

import (
	"testing"

	"github.com/pinstatus/pinstatus/cmd/pinstatus/demo"
	"github.com/pinstatus/pinstatus/projector"
)

func demoPolicy(tb testing.TB) *projector.Policy {
	tb.Helper()
	d, err := demo.New()
	if err != nil {
		tb.Fatal(err)
	}
	return d.Config().Policy()
}
