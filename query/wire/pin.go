package wire

// PIN is the view of a PIN code: all that was sent for it, and what became of its
// verification.
type PIN struct {
	PINID        string        `json:"pinId"`
	Sequence     uint64        `json:"sequence"` // stream sequence of the event that last changed the view
	Entries      []Entry       `json:"entries"`  // in the order of rule D2
	Verification *Verification `json:"verification,omitempty"`
}

// Channels of an Entry.
const (
	ChannelSMS   = "sms"
	ChannelVoice = "voice"
)

// Entry is one SMS or call.
type Entry struct {
	Channel     string   `json:"channel"` // ChannelSMS or ChannelVoice
	ID          string   `json:"id"`
	Status      string   `json:"status"`
	Description string   `json:"description"` // of the status
	Final       bool     `json:"final"`
	FirstAt     Time     `json:"firstAt,omitzero"`
	ChangedAt   Time     `json:"changedAt,omitzero"` // when it came to its status
	Timeline    []Change `json:"timeline"`           // oldest first, at most 32 (rule D3)
	Gateway     string   `json:"gateway,omitempty"`
	Network     string   `json:"network,omitempty"`
	To          string   `json:"to,omitempty"` // masked but for the last three digits
	Price       *Price   `json:"price,omitempty"`
	Error       *Error   `json:"error,omitempty"`
}

// Change is one status that an entry went through.
type Change struct {
	Status string `json:"status"`
	At     Time   `json:"at"`
}

// Price is what an SMS or call cost.
type Price struct {
	Amount   string `json:"amount"` // decimal
	Currency string `json:"currency"`
}

// Error is why an SMS or call failed, in the gateway's words.
type Error struct {
	Code string `json:"code,omitempty"`
	Text string `json:"text,omitempty"`
}

// Verification is what is known of the checks of a PIN code (rule D4).
type Verification struct {
	Wrong             int    `json:"wrong"`                       // number of wrong PINs
	AttemptsRemaining *int64 `json:"attemptsRemaining,omitempty"` // as last reported; nil if it never was
	VerifiedAt        Time   `json:"verifiedAt,omitzero"`         // the earliest success; zero if there is none
}
