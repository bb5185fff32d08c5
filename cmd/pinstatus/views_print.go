package main

import (
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/query/client"
)

// printPINs prints the entries of PIN codes, and below what their verifications came to.
func printPINs(out io.Writer, views []client.PIN) error {
	rows := [][]cell{cells("PIN", "CHANNEL", "ID", "STATUS", "DESCRIPTION", "FINAL", "CHANGED")}
	var verifications [][]cell
	for _, v := range views {
		for i := range v.Entries {
			e := &v.Entries[i]
			rows = append(rows, []cell{
				{text: v.PINID}, {text: e.Channel}, {text: e.ID}, statusOf(e), {text: described(e)}, {text: yesNo(e.Final)}, {text: instant(e.ChangedAt)},
			})
		}
		if len(v.Entries) == 0 {
			rows = append(rows, cells(v.PINID, "-", "-", "-", "-", "-", "-"))
		}
		if v.Verification != nil {
			verifications = append(verifications, []cell{{text: v.PINID}, verificationOf(v.Verification)})
		}
	}
	if err := newColumns(out).writeAll(rows); err != nil || verifications == nil {
		return err
	}
	rows = append([][]cell{nil, cells("PIN", "VERIFICATION")}, verifications...)
	return newColumns(out).writeAll(rows)
}

// statusOf is an entry's status: green if it has arrived, red if it will not, yellow while
// nobody knows.
func statusOf(e *client.Entry) cell {
	c := cell{e.Status, red}
	switch e.Status {
	case event.MessageDelivered.String(), event.CallProcessed.String(), event.CallAnsweredMachine.String():
		c.colour = green
	case event.MessageAccepted.String(), event.MessageDeliveryUnknown.String():
		c.colour = yellow
	default:
		if !e.Final {
			c.colour = yellow
		}
	}
	return c
}

// described is an entry's description, with the gateway's own words for an error.
func described(e *client.Entry) string {
	if e.Error == nil {
		return e.Description
	}
	return e.Description + " (" + strings.TrimSpace(e.Error.Code+" "+e.Error.Text) + ")"
}

// verificationOf says what the checks of a PIN code came to.
func verificationOf(v *client.Verification) cell {
	var all []string
	c := cell{}
	if !v.VerifiedAt.IsZero() {
		all = append(all, "verified "+instant(v.VerifiedAt))
		c.colour = green
	}
	all = append(all, fmt.Sprintf("%d wrong", v.Wrong))
	if v.AttemptsRemaining != nil {
		left := *v.AttemptsRemaining
		all = append(all, fmt.Sprintf("%d %s left", left, plural(int(min(left, 2)), "attempt")))
		if left == 0 && v.VerifiedAt.IsZero() {
			c.colour = red
		}
	}
	c.text = strings.Join(all, ", ")
	return c
}

// printAccounts prints the PINs of accounts.
func printAccounts(out io.Writer, views []client.Account) error {
	rows := [][]cell{cells("ACCOUNT", "TYPE", "MANDATORY", "STATUS", "LOCKED FOR", "FAILED", "LEFT", "LOCKS", "CHANGED")}
	for _, v := range views {
		for i := range v.PINs {
			p := &v.PINs[i]
			rows = append(rows, []cell{
				{text: v.AccountID},
				{text: p.Type},
				{text: yesNo(p.Mandatory)},
				stateOfPIN(p),
				{text: lockedFor(p)},
				{text: strconv.Itoa(p.FailedAttempts)},
				{text: strconv.Itoa(p.AttemptsLeft)},
				{text: strconv.Itoa(p.LockCount)},
				{text: instant(p.ChangedAt)},
			})
		}
	}
	return newColumns(out).writeAll(rows)
}

func stateOfPIN(p *client.AccountPIN) cell {
	c := cell{text: p.Status}
	switch p.Status {
	case client.StatusLocked:
		c.colour = red
	case client.StatusSet:
		c.colour = green
	}
	return c
}

// lockedFor is how long a lock still runs.
func lockedFor(p *client.AccountPIN) string {
	if p.Status != client.StatusLocked {
		return "-"
	}
	return (time.Duration(p.LockRemainingSeconds) * time.Second).String()
}

func instant(t client.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(instantLayout)
}

const instantLayout = "2006-01-02T15:04:05.000Z"

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// pinChanges are the entries that have changed, and the verification if it has.
func pinChanges(before, now *client.PIN) [][]cell {
	known := map[[2]string]*client.Entry{}
	for i := range before.Entries {
		e := &before.Entries[i]
		known[[2]string{e.Channel, e.ID}] = e
	}
	var rows [][]cell
	for i := range now.Entries {
		e := &now.Entries[i]
		if old := known[[2]string{e.Channel, e.ID}]; old != nil && reflect.DeepEqual(old, e) {
			continue
		}
		final := ""
		if e.Final {
			final = "final"
		}
		rows = append(rows, []cell{{text: e.Channel + " " + e.ID}, statusOf(e), {text: described(e)}, {text: final}})
	}
	if now.Verification != nil && !reflect.DeepEqual(before.Verification, now.Verification) {
		rows = append(rows, []cell{{text: "verification"}, verificationOf(now.Verification)})
	}
	return rows
}

// accountChanges are the PINs that have changed, seconds that pass aside.
func accountChanges(before, now *client.Account) [][]cell {
	known := map[string]client.AccountPIN{}
	for _, p := range before.PINs {
		known[p.Type] = p
	}
	var rows [][]cell
	for i := range now.PINs {
		p := now.PINs[i]
		old, seen := known[p.Type]
		old.LockRemainingSeconds = p.LockRemainingSeconds
		if seen && old == p {
			continue
		}
		rows = append(rows, []cell{{text: p.Type}, stateOfPIN(&p), {text: detailsOf(&p)}})
	}
	return rows
}

// detailsOf says how long a PIN is locked, or how near it is to that.
func detailsOf(p *client.AccountPIN) string {
	switch {
	case p.Status == client.StatusLocked:
		return "for " + lockedFor(p)
	case p.FailedAttempts > 0:
		return fmt.Sprintf("%d failed, %d left", p.FailedAttempts, p.AttemptsLeft)
	}
	return ""
}
