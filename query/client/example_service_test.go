package client_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/pinstatus/pinstatus/consumer/natstest"
	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
	"github.com/pinstatus/pinstatus/query/client"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

// exampleRig is the service of the examples, which have no testing.TB to give it.
var exampleRig struct {
	*querytest.Rig
	broker *natstest.Server
}

func TestMain(m *testing.M) { os.Exit(withExamples(m.Run)) }

// withExamples runs tests beside the service of the examples.
func withExamples(run func() int) int {
	tb := &exampleTB{}
	defer tb.cleanUp()
	exampleRig.broker = natstest.Start(tb)
	exampleRig.Rig = querytest.Start(tb, querytest.Config{
		Notices: exampleRig.broker.Connect(),
		Tenants: func(_ *querytest.Key, tenants []query.Tenant) {
			tenants[0].APIKeys[0].Scopes = []string{auth.ScopeDeliveriesRead, auth.ScopePINsRead}
		},
	}, dialect)
	exampleRig.Views.PutDelivery("acme", "2B67", delivery(7))
	return run()
}

// service returns the URL of a service, with an API key that may read all that it has.
func service() (url, apiKey string) {
	exampleRig.Views.PutAccount("acme", "alice", account(5, true))
	return "http://" + exampleRig.Addr, querytest.AcmeKey
}

func newToken() string { return exampleRig.Token(querytest.Claims{"scope": "pins:read"}) }

func newExampleClient() *client.Client {
	url, apiKey := service()
	c, err := client.New(url, client.WithAPIKey(apiKey))
	if err != nil {
		panic(err)
	}
	return c
}

// unset has alice's Parental PIN unset.
func unset() {
	nc := exampleRig.broker.Connect()
	n := exampleRig.Views.CommitAccount("acme", "alice", account(101, false))
	if err := nc.Publish(view.NoticeSubject(view.Generation{Number: n.Generation}, n.Partition), n.Append(nil)); err != nil {
		panic(err)
	}
}

// exampleTB is as much of a testing.TB as a service needs that outlives each test.
type exampleTB struct {
	testing.TB // nil
	cleanups   []func()
}

func (tb *exampleTB) Helper()                  {}
func (tb *exampleTB) Cleanup(f func())         { tb.cleanups = append(tb.cleanups, f) }
func (tb *exampleTB) Context() context.Context { return context.Background() }
func (tb *exampleTB) Error(args ...any)        { panic(fmt.Sprint(args...)) }
func (tb *exampleTB) Fatal(args ...any)        { panic(fmt.Sprint(args...)) }
func (tb *exampleTB) Errorf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}

func (tb *exampleTB) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}

// TempDir is removed at the end.
func (tb *exampleTB) TempDir() string {
	dir, err := os.MkdirTemp("", "client")
	if err != nil {
		panic(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (tb *exampleTB) cleanUp() {
	for _, f := range slices.Backward(tb.cleanups) {
		f()
	}
}
