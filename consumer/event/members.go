package event

import "math/bits"

// member numbers every attribute of the envelope and every member of data that this
// version knows. One number stands for one name in one place.
type member uint8

const (
	unknownMember member = iota

	attrSpecVersion
	attrID
	attrSource
	attrType
	attrTime
	attrTenant
	attrSubject
	attrDataContentType
	attrTraceParent
	attrData // from here on of structured mode only
	attrDataBase64

	dataPINID
	dataAccountID
	dataMessageID
	dataCallID
	dataStatus
	dataGateway
	dataTo
	dataNetwork
	dataErrorCode
	dataErrorText
	dataPrice
	dataPriceAmount
	dataPriceCurrency
	dataDurationSeconds
	dataOutcome
	dataAttemptsRemaining
	dataDevice
	dataPINType
	dataUntil
	dataSetPINs

	memberCount
)

// The names are what errors call the members, too.
var memberNames = [memberCount]string{
	unknownMember:         "payload",
	attrSpecVersion:       "specversion",
	attrID:                "id",
	attrSource:            "source",
	attrType:              "type",
	attrTime:              "time",
	attrTenant:            "tenant",
	attrSubject:           "subject",
	attrDataContentType:   "datacontenttype",
	attrTraceParent:       "traceparent",
	attrData:              "data",
	attrDataBase64:        "data_base64",
	dataPINID:             "data.pinId",
	dataAccountID:         "data.accountId",
	dataMessageID:         "data.messageId",
	dataCallID:            "data.callId",
	dataStatus:            "data.status",
	dataGateway:           "data.gateway",
	dataTo:                "data.to",
	dataNetwork:           "data.network",
	dataErrorCode:         "data.errorCode",
	dataErrorText:         "data.errorText",
	dataPrice:             "data.price",
	dataPriceAmount:       "data.price.amount",
	dataPriceCurrency:     "data.price.currency",
	dataDurationSeconds:   "data.durationSeconds",
	dataOutcome:           "data.outcome",
	dataAttemptsRemaining: "data.attemptsRemaining",
	dataDevice:            "data.device",
	dataPINType:           "data.pinType",
	dataUntil:             "data.until",
	dataSetPINs:           "data.setPins",
}

func (m member) String() string { return memberNames[m] }

func (m member) bad(r Reason) *Error { return &Error{r, m.String()} }

// repeated is the fault of a member that is given twice: readers would differ on which of
// the two counts.
func (m member) repeated() *Error { return &Error{ReasonMalformed, m.String() + ": repeated"} }

// keyMember is the member of data that must equal the subject's key.
func keyMember(t Type) member {
	if t.Family().OnCode() {
		return dataPINID
	}
	return dataAccountID
}

// entryMember is the member of data that names the message or call.
func entryMember(t Type) member {
	if t == VoiceStatus {
		return dataCallID
	}
	return dataMessageID
}

// memberSet is a set of members, a bit for each.
type memberSet uint64

func setOf(ms ...member) memberSet {
	var s memberSet
	for _, m := range ms {
		s |= 1 << m
	}
	return s
}

func (s memberSet) has(m member) bool { return s>>m&1 != 0 }

// first is the first member of a set that is not empty.
func (s memberSet) first() member { return member(bits.TrailingZeros64(uint64(s))) } //nolint:gosec // below 64

// envelopeMembers are those that decide over an event: a traceparent that cannot be used is
// as good as none.
const envelopeMembers memberSet = 1<<dataPINID - 1 - 1<<attrTraceParent - 1<<unknownMember

// statusMembers are what both kinds of delivery status may carry.
var statusMembers = setOf(dataPINID, dataStatus, dataAccountID, dataGateway, dataTo, dataNetwork, dataErrorCode,
	dataErrorText, dataPrice, dataPriceAmount, dataPriceCurrency)

// typeMembers are the members of data that events of a type have.
var typeMembers = [...]memberSet{
	SMSStatus:          statusMembers | setOf(dataMessageID),
	VoiceStatus:        statusMembers | setOf(dataCallID, dataDurationSeconds),
	CodeVerification:   setOf(dataPINID, dataOutcome, dataAttemptsRemaining),
	CodeErased:         setOf(dataPINID),
	Attempt:            setOf(dataAccountID, dataPINType, dataOutcome, dataDevice),
	PINSet:             setOf(dataAccountID, dataPINType),
	PINUnset:           setOf(dataAccountID, dataPINType),
	PINLocked:          setOf(dataAccountID, dataPINType, dataUntil),
	PINUnlocked:        setOf(dataAccountID, dataPINType),
	AccountProvisioned: setOf(dataAccountID, dataSetPINs),
	AccountDeleted:     setOf(dataAccountID),
}

// level is the object that a member is in.
type level uint8

const (
	levelEnvelope level = iota
	levelData
	levelPrice
)

// lookup finds a member by its exact name.
func lookup(l level, name string) member {
	switch l {
	case levelEnvelope:
		return lookupAttribute(name)
	case levelData:
		return lookupData(name)
	}
	switch name {
	case "amount":
		return dataPriceAmount
	case "currency":
		return dataPriceCurrency
	}
	return unknownMember
}

func lookupAttribute(name string) member {
	switch name {
	case "specversion":
		return attrSpecVersion
	case "id":
		return attrID
	case "source":
		return attrSource
	case "type":
		return attrType
	case "time":
		return attrTime
	case "tenant":
		return attrTenant
	case "subject":
		return attrSubject
	case "datacontenttype":
		return attrDataContentType
	case "traceparent":
		return attrTraceParent
	case "data":
		return attrData
	case "data_base64":
		return attrDataBase64
	}
	return unknownMember
}

func lookupData(name string) member {
	switch name {
	case "pinId":
		return dataPINID
	case "accountId":
		return dataAccountID
	case "messageId":
		return dataMessageID
	case "callId":
		return dataCallID
	case "status":
		return dataStatus
	case "gateway":
		return dataGateway
	case "to":
		return dataTo
	case "network":
		return dataNetwork
	case "errorCode":
		return dataErrorCode
	case "errorText":
		return dataErrorText
	case "price":
		return dataPrice
	case "durationSeconds":
		return dataDurationSeconds
	case "outcome":
		return dataOutcome
	case "attemptsRemaining":
		return dataAttemptsRemaining
	case "device":
		return dataDevice
	case "pinType":
		return dataPINType
	case "until":
		return dataUntil
	case "setPins":
		return dataSetPINs
	}
	return unknownMember
}
