package event

import (
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of members, in bytes of UTF-8.
const (
	MaxIDBytes     = 256  // every id, and the name of a PIN type
	MaxSourceBytes = 512  // source
	MaxNameBytes   = 256  // gateway, to, network, errorCode
	MaxTextBytes   = 1024 // errorText, device; Decode cuts longer ones, Validate refuses them
)

// MaxSetPINs bounds the PIN types that one event names.
const MaxSetPINs = 100

// MaxLock is how far after an event's time its until may lie.
const MaxLock = 366 * 24 * time.Hour

// Validate reports, as an *Error, why a consumer would not take the event; nil if it
// would, in both content modes. Beyond the rules of Decode it refuses members that events of
// the type do not have, which would be lost. Whether the tenant and its PIN types exist is
// not known here.
func (e *Event) Validate() error {
	for _, check := range [...]func(*Event) *Error{
		(*Event).validateUTF8, (*Event).validateAttributes, (*Event).validateMembers, (*Event).validate,
	} {
		if bad := check(e); bad != nil {
			return bad
		}
	}
	return nil
}

// validateUTF8 is what Decode checks over the whole payload at once.
func (e *Event) validateUTF8() *Error {
	for _, text := range [...]struct {
		m member
		s string
	}{
		{attrID, e.ID},
		{attrSource, e.Source},
		{keyMember(e.Type), e.Key},
		{entryMember(e.Type), e.EntryID},
		{dataAccountID, e.AccountID},
		{dataGateway, e.Gateway},
		{dataTo, e.To},
		{dataNetwork, e.Network},
		{dataErrorCode, e.ErrorCode},
		{dataErrorText, e.ErrorText},
		{dataDevice, e.Device},
		{dataPINType, e.PINType},
		{dataSetPINs, strings.Join(e.SetPINs, " ")},
	} {
		if !utf8.ValidString(text.s) {
			return text.m.bad(ReasonNotUTF8)
		}
	}
	return nil
}

// validateMembers refuses members that events of the type do not have. Zero is no value.
func (e *Event) validateMembers() *Error {
	own := typeMembers[e.Type]
	if own.has(dataAccountID) && !own.has(dataPINID) {
		own &^= 1 << dataAccountID // it is Key
	}
	for _, is := range [...]struct {
		set bool
		m   member
	}{
		{e.AccountID != "", dataAccountID},
		{e.EntryID != "", entryMember(e.Type)},
		{e.Status != 0, dataStatus},
		{e.Gateway != "", dataGateway},
		{e.To != "", dataTo},
		{e.Network != "", dataNetwork},
		{e.ErrorCode != "", dataErrorCode},
		{e.ErrorText != "", dataErrorText},
		{e.Price != Price{}, dataPrice},
		{e.DurationSeconds > 0, dataDurationSeconds},
		{e.Outcome != 0, dataOutcome},
		{e.AttemptsRemaining > 0, dataAttemptsRemaining},
		{e.Device != "", dataDevice},
		{e.PINType != "", dataPINType},
		{e.Until != 0, dataUntil},
		{len(e.SetPINs) > 0, dataSetPINs},
	} {
		if is.set && !own.has(is.m) {
			return is.m.bad(ReasonInvalid)
		}
	}
	return nil
}

// validateAttributes checks what stands in the envelope.
func (e *Event) validateAttributes() *Error {
	if bad := checkID(attrID, e.ID, MaxIDBytes); bad != nil {
		return bad
	}
	if bad := checkID(attrSource, e.Source, MaxSourceBytes); bad != nil {
		return bad
	}
	switch {
	case e.Type == 0:
		return attrType.bad(ReasonInvalid)
	case int(e.Type) >= len(types):
		return attrType.bad(ReasonUnknownType)
	case !validTime(e.Time):
		return attrTime.bad(ReasonInvalid)
	case !ValidTenant(e.Tenant):
		return attrTenant.bad(ReasonInvalid)
	case e.TraceParent != "" && !validTraceParent(e.TraceParent):
		return attrTraceParent.bad(ReasonInvalid)
	}
	return nil
}

// validate checks what stands in data; the type is known.
func (e *Event) validate() *Error {
	if bad := checkID(keyMember(e.Type), e.Key, MaxIDBytes); bad != nil {
		return bad
	}
	switch e.Type {
	case SMSStatus:
		return e.validateStatus(SMS)
	case VoiceStatus:
		if bad := e.validateStatus(Voice); bad != nil {
			return bad
		}
		return checkCount(dataDurationSeconds, e.DurationSeconds)
	case CodeVerification:
		if bad := e.validateOutcome(); bad != nil {
			return bad
		}
		return checkCount(dataAttemptsRemaining, e.AttemptsRemaining)
	case CodeErased, AccountDeleted:
		return nil
	case AccountProvisioned:
		return e.validateSetPINs()
	}
	if bad := checkID(dataPINType, e.PINType, MaxIDBytes); bad != nil {
		return bad
	}
	switch e.Type {
	case Attempt:
		if bad := e.validateOutcome(); bad != nil {
			return bad
		}
		if len(e.Device) > MaxTextBytes {
			return dataDevice.bad(ReasonInvalid)
		}
	case PINLocked:
		if !validTime(e.Until) || e.Until-e.Time > int64(MaxLock) {
			return dataUntil.bad(ReasonInvalid)
		}
	}
	return nil
}

func (e *Event) validateStatus(c Channel) *Error {
	if bad := checkID(entryMember(e.Type), e.EntryID, MaxIDBytes); bad != nil {
		return bad
	}
	switch {
	case e.Status == 0:
		return dataStatus.bad(ReasonInvalid)
	case !e.Status.Valid() || e.Status.Channel() != c:
		return dataStatus.bad(ReasonUnknownStatus)
	}
	if e.AccountID != "" {
		if bad := checkID(dataAccountID, e.AccountID, MaxIDBytes); bad != nil {
			return bad
		}
	}
	if bad := e.validateTexts(); bad != nil {
		return bad
	}
	switch {
	case e.Price == Price{}:
		return nil
	case !isDecimal(e.Price.Amount):
		return dataPriceAmount.bad(ReasonInvalid)
	case !isCurrency(e.Price.Currency):
		return dataPriceCurrency.bad(ReasonInvalid)
	}
	return nil
}

func (e *Event) validateTexts() *Error {
	switch {
	case len(e.Gateway) > MaxNameBytes:
		return dataGateway.bad(ReasonInvalid)
	case len(e.To) > MaxNameBytes:
		return dataTo.bad(ReasonInvalid)
	case len(e.Network) > MaxNameBytes:
		return dataNetwork.bad(ReasonInvalid)
	case len(e.ErrorCode) > MaxNameBytes:
		return dataErrorCode.bad(ReasonInvalid)
	case len(e.ErrorText) > MaxTextBytes:
		return dataErrorText.bad(ReasonInvalid)
	}
	return nil
}

func (e *Event) validateOutcome() *Error {
	switch {
	case e.Outcome == 0:
		return dataOutcome.bad(ReasonInvalid)
	case !e.Outcome.of(e.Type):
		return dataOutcome.bad(ReasonUnknownStatus)
	}
	return nil
}

func (e *Event) validateSetPINs() *Error {
	if len(e.SetPINs) > MaxSetPINs {
		return dataSetPINs.bad(ReasonInvalid)
	}
	for _, name := range e.SetPINs {
		if bad := checkID(dataSetPINs, name, MaxIDBytes); bad != nil {
			return bad
		}
	}
	return nil
}
