package main

import (
	"testing"

	"github.com/pinstatus/pinstatus/cmd/pinstatus/demo"
	"github.com/pinstatus/pinstatus/projector/fold"
)

func demoPolicy(tb testing.TB) *fold.Policy {
	tb.Helper()
	d, err := demo.New()
	if err != nil {
		tb.Fatal(err)
	}
	return d.Config().Policy()
}
