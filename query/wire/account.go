package wire

// Account is the view of all PINs of an account.
type Account struct {
	AccountID string       `json:"accountId"`
	Sequence  uint64       `json:"sequence"` // stream sequence of the event that last changed the view
	PINs      []AccountPIN `json:"pins"`     // one of each type that the tenant defines, in its order
}

// States of an AccountPIN (rule P7).
const (
	StatusUnset  = "UNSET"
	StatusSet    = "SET"
	StatusLocked = "LOCKED"
)

// AccountPIN is the state of one PIN of an account.
type AccountPIN struct {
	Type      string `json:"type"`
	Mandatory bool   `json:"mandatory"`
	Status    string `json:"status"` // StatusUnset, StatusSet or StatusLocked

	// LockEndsAt is there only while the PIN is locked, and the view knows the lock's end:
	// of one that an operator put into the store by hand, only the seconds are known.
	LockEndsAt Time `json:"lockEndsAt,omitzero"`

	// LockRemainingSeconds is there only while the PIN is locked: whole seconds, rounded
	// up. It alone changes without the view's ETag.
	LockRemainingSeconds int64 `json:"lockRemainingSeconds,omitempty"`

	FailedAttempts int  `json:"failedAttempts"` // since the last success or lock
	AttemptsLeft   int  `json:"attemptsLeft"`   // that may fail until the next lock
	LockCount      int  `json:"lockCount"`      // locks since the last success, set, unset or unlock
	LastSuccessAt  Time `json:"lastSuccessAt,omitzero"`
	ChangedAt      Time `json:"changedAt,omitzero"` // when an event last changed the state
}
