package view

import "github.com/pinstatus/pinstatus/consumer/event"

// Delivery is the view of one PIN code: all that was sent for it, and what became of its
// verification. Times are nanoseconds since the Unix epoch; zero means never.
type Delivery struct {
	Sequence     uint64 // stream sequence of the event that last changed the view
	ExpiresAt    int64  // from then on the view is not there (rule D5)
	Erased       bool   // erased, and nothing known since: the view is not there
	Entries      []Entry
	Verification Verification
}

// Entry is one message or call. Entries stand in the order of rule D2.
type Entry struct {
	Channel   event.Channel
	ID        string
	Status    event.Status
	FirstAt   int64    // effective time of the earliest event
	ChangedAt int64    // effective time of the event that gave the status
	Timeline  []Change // oldest first, at most 32 (rule D3)
	Gateway   string
	Network   string
	To        string // masked but for the last three digits
	Price     event.Price
	ErrorCode string
	ErrorText string
}

// Change is one status that an entry went through.
type Change struct {
	Status event.Status
	At     int64
}

// Verification is what is known of the checks of a PIN code (rule D4).
type Verification struct {
	Known             bool  // at least one check was reported
	Wrong             int   // number of wrong PINs
	AttemptsRemaining int64 // latest reported; event.Absent if never
	VerifiedAt        int64 // effective time of the earliest success
}

// Account is the view of the PINs of one account.
type Account struct {
	Sequence uint64 // stream sequence of the event that last changed the view
	Exists   bool   // false after a deletion, until provisioned or set again (rule P6)
	PINs     []PIN  // the PIN types that an event has named, sorted by type
}

// PIN is the state of one PIN type of an account. Times are nanoseconds since the Unix
// epoch; zero means never.
type PIN struct {
	Type        string
	Set         bool
	Failed      int   // failed attempts since the last success or lock
	LockCount   int   // locks since the last success, set, unset or unlock
	LockStart   int64 // of the last lock
	LockEnd     int64 // a lock runs up to, not including, its end
	LockCap     int64 // nanoseconds: a lock of the policy never shows more; 0 for an imposed lock
	LastSuccess int64
	ChangedAt   int64 // effective time of the event that last changed the state
}
