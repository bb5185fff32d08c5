package client_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pinstatus/pinstatus/query/client"
)

// The examples run against a service that knows the PIN code 2B67, which was delivered, and
// the account alice, whose Parental PIN is set.
func Example() {
	url, apiKey := service()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	c, err := client.New(url, client.WithAPIKey(apiKey))
	if err != nil {
		fmt.Println(err)
		return
	}
	pin, err := c.PIN(ctx, "2B67")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range pin.Entries {
		fmt.Println(e.Channel, e.ID, e.Status, e.Final)
	}
	// Output: sms m1 MESSAGE_DELIVERED true
}

func ExampleNew_token() {
	url, _ := service()

	// The function is asked for each request: a token may be replaced before it expires.
	c, err := client.New(url, client.WithToken(func(context.Context) (string, error) { return newToken(), nil }))
	if err != nil {
		fmt.Println(err)
		return
	}
	types, err := c.PINTypes(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, t := range types.PINTypes {
		fmt.Println(t.Name, t.MaxAttempts, t.LockDurationsSeconds)
	}
	// Output:
	// Parental 3 [20]
	// Purchase 5 [60 3600]
}

func ExampleClient_Account() {
	c := newExampleClient()
	for _, id := range []string{"alice", "bob"} {
		account, err := c.Account(context.Background(), id)
		switch {
		case errors.Is(err, client.ErrNotFound):
			fmt.Println(id, "does not exist")
		case err != nil:
			fmt.Println(err)
		default:
			for _, pin := range account.PINs {
				fmt.Println(account.AccountID, pin.Type, pin.Status)
			}
		}
	}
	// Output:
	// alice Parental SET
	// alice Purchase UNSET
	// bob does not exist
}

// A long poll: the service answers when the view differs from the one that is known.
func ExampleIfChanged() {
	c := newExampleClient()
	ctx := context.Background()
	account, err := c.Account(ctx, "alice")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = c.Account(ctx, "alice", client.IfChanged(account.ETag), client.Wait(time.Second))
	fmt.Println(errors.Is(err, client.ErrNotModified))
	// Output: true
}

// Who has published an event gives the sequence of its acknowledgement, and gets an answer that
// includes it, or learns how far the service has come.
func ExampleMinSequence() {
	c := newExampleClient()
	ctx := context.Background()
	if _, err := c.Account(ctx, "alice", client.MinSequence(100)); err == nil {
		fmt.Println("event 100 is in it")
	}
	_, err := c.Account(ctx, "alice", client.MinSequence(4711), client.Wait(time.Second))
	var answer *client.Error
	if errors.Is(err, client.ErrBehind) && errors.As(err, &answer) {
		fmt.Println("not there yet:", answer.Position < 4711)
	}
	// Output:
	// event 100 is in it
	// not there yet: true
}

func ExampleClient_PINs() {
	c := newExampleClient()
	batch, err := c.PINs(context.Background(), []string{"2B67", "0000"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, pin := range batch.Found {
		fmt.Println(pin.PINID, len(pin.Entries))
	}
	fmt.Println("missing:", batch.Missing)
	// Output:
	// 2B67 1
	// missing: [0000]
}

func ExampleClient_WatchAccount() {
	c := newExampleClient()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	for u, err := range c.WatchAccount(ctx, "alice") {
		if err != nil {
			fmt.Println(err)
			return
		}
		if u.Gone {
			fmt.Println("deleted")
			continue
		}
		parental := u.View.PINs[0]
		fmt.Println(parental.Type, parental.Status)
		if parental.Status == client.StatusUnset {
			break
		}
		unset() // somebody else does
	}
	// Output:
	// Parental SET
	// Parental UNSET
}
