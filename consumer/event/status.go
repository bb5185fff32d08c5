package event

// Channel is how a PIN code was sent.
type Channel uint8

// The channels, in the order in which entries of the same time are answered.
const (
	SMS Channel = iota + 1
	Voice
)

// String is the channel's name in answers.
func (c Channel) String() string {
	switch c {
	case SMS:
		return "sms"
	case Voice:
		return "voice"
	}
	return ""
}

// Status is a delivery status of an SMS or of a call. Numbers are stored in views: append
// only, calls from firstCall on.
type Status uint8

// The SMS list.
const (
	MessageNotSent Status = iota + 1
	MessageAccepted
	MessageWaitingDelivery
	MessageDeliveryUnknown
	MessageExpired
	MessageNotDelivered
	MessageNetworkNotAllowed
	MessageNetworkNotAvailable
	MessageInvalidDestinationAddress
	InvalidSourceAddress
	NotEnoughCredits
	MessageRejected
	SystemError
	MessageDelivered
)

const firstCall = 64

// The call list.
const (
	CallUndefined Status = iota + firstCall
	CallProcessing
	CallBadRequest
	CallError
	CallErrorNotEnoughCredits
	CallErrorNetworkNotAvailable
	CallErrorRouteNotAvailable
	CallErrorNoAnswer
	CallErrorUserBusy
	CallAnsweredMachine
	CallProcessed
)

type statusInfo struct {
	name        string
	description string
	final       bool
	stage       uint8
}

// Both lists, indexed by Status; the position in a list is part of rule D1.
var statuses = [...]statusInfo{
	MessageNotSent:                   {"MESSAGE_NOT_SENT", "Message not sent", false, 0},
	MessageAccepted:                  {"MESSAGE_ACCEPTED", "Message accepted", true, 1},
	MessageWaitingDelivery:           {"MESSAGE_WAITING_DELIVERY", "Message sent, waiting for delivery", false, 2},
	MessageDeliveryUnknown:           {"MESSAGE_DELIVERY_UNKNOWN", "Message delivery unknown", true, 3},
	MessageExpired:                   {"MESSAGE_EXPIRED", "Message expired", true, 4},
	MessageNotDelivered:              {"MESSAGE_NOT_DELIVERED", "Message sent, not delivered", true, 4},
	MessageNetworkNotAllowed:         {"MESSAGE_NETWORK_NOT_ALLOWED", "Message not sent, network not allowed", true, 4},
	MessageNetworkNotAvailable:       {"MESSAGE_NETWORK_NOT_AVAILABLE", "Message not sent, bulk or gateway offline", true, 4},
	MessageInvalidDestinationAddress: {"MESSAGE_INVALID_DESTINATION_ADDRESS", "Message not sent, invalid destination address", true, 4},
	InvalidSourceAddress:             {"INVALID_SOURCE_ADDRESS", "Message not sent, invalid source address", true, 4},
	NotEnoughCredits:                 {"NOT_ENOUGH_CREDITS", "Message not sent, not enough credits", true, 4},
	MessageRejected:                  {"MESSAGE_REJECTED", "Message rejected", true, 4},
	SystemError:                      {"SYSTEM_ERROR", "System error", true, 4},
	MessageDelivered:                 {"MESSAGE_DELIVERED", "Message sent and delivered", true, 4},

	CallUndefined:                {"UNDEFINED", "Request is undefined.", false, 0},
	CallProcessing:               {"PROCESSING", "Request is currently being processed.", false, 1},
	CallBadRequest:               {"BAD_REQUEST", "Provided request does not meet required conditions.", true, 2},
	CallError:                    {"ERROR", "System error occurred during processing.", true, 2},
	CallErrorNotEnoughCredits:    {"ERROR_NOT_ENOUGH_CREDITS", "Not enough credits on account balance to pay for the call.", true, 2},
	CallErrorNetworkNotAvailable: {"ERROR_NETWORK_NOT_AVAILABLE", "We could not find network for given destination address.", true, 2},
	CallErrorRouteNotAvailable:   {"ERROR_ROUTE_NOT_AVAILABLE", "Route for TTS call is not set up on account.", true, 2},
	CallErrorNoAnswer:            {"ERROR_NO_ANSWER", "User did not answer call(s).", true, 2},
	CallErrorUserBusy:            {"ERROR_USER_BUSY", "User was busy during call attempt(s).", true, 2},
	CallAnsweredMachine:          {"ANSWERED_MACHINE", "Request is successfully processed and answered by machine.", true, 2},
	CallProcessed:                {"PROCESSED", "Request is successfully processed and answered by human.", true, 2},
}

func (s Status) info() statusInfo {
	if int(s) < len(statuses) {
		return statuses[s]
	}
	return statusInfo{}
}

// String is the status' name on the wire and in answers; empty if there is no such status.
func (s Status) String() string { return s.info().name }

// Description is the text answered for the status.
func (s Status) Description() string { return s.info().description }

// Final is what the API answers as finalStatus. It does not decide which event wins: an
// accepted message is final in the list and still overtaken by its delivery. See Stage.
func (s Status) Final() bool { return s.info().final }

// Stage is how far along its way a message or call is; of two events of an entry the one
// of the later stage wins (rule D1).
func (s Status) Stage() uint8 { return s.info().stage }

// Valid reports whether the status is on either list.
func (s Status) Valid() bool { return s.info().name != "" }

// Channel is the channel whose list the status is on.
func (s Status) Channel() Channel {
	if s >= firstCall {
		return Voice
	}
	return SMS
}

// ParseStatus is the status of a name on the list of a channel; false if it is not there.
func ParseStatus(c Channel, name string) (Status, bool) {
	s := parseStatus(c, name)
	return s, s != 0
}

func parseStatus(c Channel, name string) Status {
	var first, last Status
	switch c {
	case SMS:
		first, last = MessageNotSent, MessageDelivered
	case Voice:
		first, last = CallUndefined, CallProcessed
	default:
		return 0
	}
	for s := first; s <= last; s++ {
		if statuses[s].name == name {
			return s
		}
	}
	return 0
}
