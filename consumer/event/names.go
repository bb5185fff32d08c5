package event

var families = [...]string{
	FamilySMS:     "sms",
	FamilyVoice:   "voice",
	FamilyCode:    "code",
	FamilyAttempt: "attempt",
	FamilyAccount: "account",
}

// String is the family's subject token; empty if there is no such family.
func (f Family) String() string {
	if int(f) < len(families) {
		return families[f]
	}
	return ""
}

// OnCode reports whether the family's events are keyed by a PIN code id; those of the
// others are keyed by an account id.
func (f Family) OnCode() bool { return f >= FamilySMS && f <= FamilyCode }

// ParseFamily is the family that a subject token names; false if there is none.
func ParseFamily(token string) (Family, bool) {
	f := parseFamily(token)
	return f, f != 0
}

func parseFamily(token string) Family {
	for f := FamilySMS; f <= FamilyAccount; f++ {
		if families[f] == token {
			return f
		}
	}
	return 0
}

var types = [...]struct {
	name   string
	family Family
}{
	SMSStatus:          {"pinstatus.sms.status.v1", FamilySMS},
	VoiceStatus:        {"pinstatus.voice.status.v1", FamilyVoice},
	CodeVerification:   {"pinstatus.code.verification.v1", FamilyCode},
	CodeErased:         {"pinstatus.code.erased.v1", FamilyCode},
	Attempt:            {"pinstatus.attempt.v1", FamilyAttempt},
	PINSet:             {"pinstatus.pin.set.v1", FamilyAccount},
	PINUnset:           {"pinstatus.pin.unset.v1", FamilyAccount},
	PINLocked:          {"pinstatus.pin.locked.v1", FamilyAccount},
	PINUnlocked:        {"pinstatus.pin.unlocked.v1", FamilyAccount},
	AccountProvisioned: {"pinstatus.account.provisioned.v1", FamilyAccount},
	AccountDeleted:     {"pinstatus.account.deleted.v1", FamilyAccount},
}

// String is the type's CloudEvents name; empty if there is no such type.
func (t Type) String() string {
	if int(t) < len(types) {
		return types[t].name
	}
	return ""
}

// Family is the family on whose subjects events of the type are published; 0 if there is
// no such type.
func (t Type) Family() Family {
	if int(t) < len(types) {
		return types[t].family
	}
	return 0
}

// ParseType is the type of a CloudEvents name; false if there is none.
func ParseType(name string) (Type, bool) {
	t := parseType(name)
	return t, t != 0
}

func parseType(name string) Type {
	for t := SMSStatus; t <= AccountDeleted; t++ {
		if types[t].name == name {
			return t
		}
	}
	return 0
}

var outcomes = [...]string{
	Verified:          "VERIFIED",
	WrongPIN:          "WRONG_PIN",
	TTLExpired:        "TTL_EXPIRED",
	NoMorePINAttempts: "NO_MORE_PIN_ATTEMPTS",
	Succeeded:         "SUCCEEDED",
	Failed:            "FAILED",
}

// String is the outcome's name on the wire; empty if there is no such outcome.
func (o Outcome) String() string {
	if int(o) < len(outcomes) {
		return outcomes[o]
	}
	return ""
}

// ParseOutcome is the outcome of a name, of those that events of type t can have; false
// if there is none.
func ParseOutcome(t Type, name string) (Outcome, bool) {
	o := parseOutcome(t, name)
	return o, o != 0
}

func parseOutcome(t Type, name string) Outcome {
	for o := Verified; o <= Failed; o++ {
		if outcomes[o] == name && o.of(t) {
			return o
		}
	}
	return 0
}

// of reports whether events of type t can have the outcome.
func (o Outcome) of(t Type) bool {
	switch t {
	case CodeVerification:
		return o >= Verified && o <= NoMorePINAttempts
	case Attempt:
		return o == Succeeded || o == Failed
	}
	return false
}
