package event

// Type is the kind of an event, the CloudEvents "type" attribute.
type Type uint8

// The event types, in the order of the contract. Their numbers are stored in views:
// append only.
const (
	SMSStatus Type = iota + 1
	VoiceStatus
	CodeVerification
	CodeErased
	Attempt
	PINSet
	PINUnset
	PINLocked
	PINUnlocked
	AccountProvisioned
	AccountDeleted
)

// Family is the third token of an event's subject: it says who publishes the event and
// what its key is.
type Family uint8

// The families.
const (
	FamilySMS Family = iota + 1
	FamilyVoice
	FamilyCode
	FamilyAttempt
	FamilyAccount
)

// Outcome is the result of a check of a PIN or of a PIN code.
type Outcome uint8

// The outcomes. Verified to NoMorePINAttempts belong to CodeVerification, Succeeded and
// Failed to Attempt. Their numbers are stored in views: append only.
const (
	Verified Outcome = iota + 1
	WrongPIN
	TTLExpired
	NoMorePINAttempts
	Succeeded
	Failed
)

// Price is what a message or call cost: a decimal amount, kept as the publisher wrote it,
// and an ISO 4217 currency.
type Price struct {
	Amount   string
	Currency string
}

// Absent is the value of a numeric member that an event does not carry.
const Absent = -1

// Event is one decoded event. Members that its type does not have, or that it does not
// carry, are empty, or Absent where zero is a value.
//
// The strings of a decoded event may share memory with the payload that it was decoded
// from: who keeps one beyond the message clones it.
type Event struct {
	Type        Type
	ID          string // with Source, identifies the event within tenant and key
	Source      string
	Tenant      string
	Key         string // PIN code id, or account id
	Time        int64  // nanoseconds since the Unix epoch, when the source learned it
	TraceParent string // W3C trace context, or empty

	// SMSStatus and VoiceStatus.
	EntryID         string // message id or call id
	Status          Status
	AccountID       string // optional
	Gateway         string
	To              string // personal data: masked before it is kept
	Network         string
	ErrorCode       string
	ErrorText       string
	Price           Price
	DurationSeconds int64 // VoiceStatus; Absent if not given

	// CodeVerification (Outcome, AttemptsRemaining) and Attempt (Outcome, Device).
	Outcome           Outcome
	AttemptsRemaining int64 // Absent if not given
	Device            string

	// Account families.
	PINType string
	Until   int64    // PINLocked: end of the lock, nanoseconds since the Unix epoch
	SetPINs []string // AccountProvisioned: PIN types that are already set
}

// Reason says in one word why an event is a dead letter.
type Reason string

// The reasons. They are label values of metrics and header values of dead letters.
const (
	ReasonOversize       Reason = "oversize"         // payload above MaxPayload
	ReasonNotUTF8        Reason = "not-utf8"         // payload, attribute or header is not UTF-8
	ReasonMalformed      Reason = "malformed"        // not JSON, or not a CloudEvent in either mode
	ReasonInvalid        Reason = "invalid"          // a required member is missing, or a member is malformed
	ReasonUnknownType    Reason = "unknown-type"     // no such event type
	ReasonUnknownStatus  Reason = "unknown-status"   // no such status, or no such outcome
	ReasonUnknownTenant  Reason = "unknown-tenant"   // the configuration has no such tenant
	ReasonUnknownPINType Reason = "unknown-pin-type" // the tenant has no such PIN type
	ReasonSubject        Reason = "subject-mismatch" // the NATS subject disagrees with the event
	ReasonTooManyEntries Reason = "too-many-entries" // more messages and calls than one PIN code may have
	ReasonLate           Reason = "late"             // behind the account's horizon, and of no use there
)

// Error is why an event cannot be taken. Detail names the member or attribute and never
// quotes a value.
type Error struct {
	Reason Reason
	Detail string
}

func (e *Error) Error() string { return string(e.Reason) + ": " + e.Detail }

// MaxPayload is the largest payload of an event, in bytes; a larger one is a dead letter.
const MaxPayload = 64 << 10
