package client

import (
	"time"

	"github.com/pinstatus/pinstatus/query/wire"
)

// The views, as the API answers them.
type (
	// PIN is the view of a PIN code: all that was sent for it, and what became of its
	// verification.
	PIN = wire.PIN
	// Entry is one SMS or call of a PIN.
	Entry = wire.Entry
	// Change is one status that an entry went through.
	Change = wire.Change
	// Price is what an SMS or call cost.
	Price = wire.Price
	// EntryError is why an SMS or call failed, in the gateway's words.
	EntryError = wire.Error
	// Verification is what is known of the checks of a PIN code.
	Verification = wire.Verification

	// Account is the view of all PINs of an account.
	Account = wire.Account
	// AccountPIN is the state of one PIN of an account.
	AccountPIN = wire.AccountPIN

	// PINTypes is the policy of the tenant, as far as clients have to know it.
	PINTypes = wire.PINTypes
	// PINType is one type of PIN that the tenant defines.
	PINType = wire.PINType

	// PINBatch is the answer to a question for many PIN codes.
	PINBatch = wire.PINBatch
	// AccountBatch is the answer to a question for many accounts.
	AccountBatch = wire.AccountBatch

	// Time is a time of a view; it is a time.Time with the wire's form in JSON.
	Time = wire.Time
)

// States of an AccountPIN.
const (
	StatusUnset  = wire.StatusUnset
	StatusSet    = wire.StatusSet
	StatusLocked = wire.StatusLocked
)

// Channels of an Entry.
const (
	ChannelSMS   = wire.ChannelSMS
	ChannelVoice = wire.ChannelVoice
)

// MaxWait is the longest that Wait can ask for.
const MaxWait = wire.MaxWait

// PINView is the answer to a question for a PIN code.
type PINView struct {
	PIN
	Meta `json:"-"`
}

// AccountView is the answer to a question for an account.
type AccountView struct {
	Account
	Meta `json:"-"`
}

// Meta is what an answer says of itself.
type Meta struct {
	// ETag stands for the view as it was answered: it changes exactly when the view does,
	// remaining seconds of locks aside. It is for IfChanged.
	ETag string

	// Lag is how far the view is behind the event stream: for how long the oldest event
	// has been in the stream that may be missing. LagKnown is false, and Lag zero, where
	// the service does not know.
	Lag      time.Duration
	LagKnown bool

	// RequestID names the request in the service's log.
	RequestID string
}

// Update is what a watch yields: a view of type PIN or Account, or that there is none any
// more.
type Update[T any] struct {
	View *T     // nil if Gone
	ETag string // of the view, for IfChanged; that of Gone has the watch go on behind it

	// Gone says that the view has ended: the PIN code was erased or its retention has
	// ended, the account was deleted. There may be a new one later.
	Gone bool
}
