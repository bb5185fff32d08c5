package event_test

import (
	"testing"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// The lists are answered word for word, and their order decides which event wins: each row
// is written out a second time.
func TestStatusLists(t *testing.T) {
	for _, list := range []struct {
		channel event.Channel
		name    string
		first   uint8
		rows    []statusRow
	}{
		{event.SMS, "sms", 1, smsList},
		{event.Voice, "voice", 64, callList},
	} {
		if got := list.channel.String(); got != list.name {
			t.Errorf("channel %d is %q, want %q", list.channel, got, list.name)
		}
		for i, want := range list.rows {
			s := event.Status(list.first + uint8(i))
			got := statusRow{s.String(), s.Description(), s.Final(), s.Stage()}
			if got != want {
				t.Errorf("status %d is %+v, want %+v", s, got, want)
			}
			if !s.Valid() || s.Channel() != list.channel {
				t.Errorf("%s: valid %v, channel %s", s, s.Valid(), s.Channel())
			}
			for _, c := range []event.Channel{event.SMS, event.Voice} {
				got, ok := event.ParseStatus(c, want.name)
				if ok != (c == list.channel) || ok && got != s {
					t.Errorf("ParseStatus(%s, %q) = %d, %v", c, want.name, got, ok)
				}
			}
		}
		if after := event.Status(list.first + uint8(len(list.rows))); after.Valid() {
			t.Errorf("the %s list goes on with %q", list.name, after)
		}
	}
}

type statusRow struct {
	name        string
	description string
	final       bool
	stage       uint8
}

var smsList = []statusRow{
	{"MESSAGE_NOT_SENT", "Message not sent", false, 0},
	{"MESSAGE_ACCEPTED", "Message accepted", true, 1},
	{"MESSAGE_WAITING_DELIVERY", "Message sent, waiting for delivery", false, 2},
	{"MESSAGE_DELIVERY_UNKNOWN", "Message delivery unknown", true, 3},
	{"MESSAGE_EXPIRED", "Message expired", true, 4},
	{"MESSAGE_NOT_DELIVERED", "Message sent, not delivered", true, 4},
	{"MESSAGE_NETWORK_NOT_ALLOWED", "Message not sent, network not allowed", true, 4},
	{"MESSAGE_NETWORK_NOT_AVAILABLE", "Message not sent, bulk or gateway offline", true, 4},
	{"MESSAGE_INVALID_DESTINATION_ADDRESS", "Message not sent, invalid destination address", true, 4},
	{"INVALID_SOURCE_ADDRESS", "Message not sent, invalid source address", true, 4},
	{"NOT_ENOUGH_CREDITS", "Message not sent, not enough credits", true, 4},
	{"MESSAGE_REJECTED", "Message rejected", true, 4},
	{"SYSTEM_ERROR", "System error", true, 4},
	{"MESSAGE_DELIVERED", "Message sent and delivered", true, 4},
}

var callList = []statusRow{
	{"UNDEFINED", "Request is undefined.", false, 0},
	{"PROCESSING", "Request is currently being processed.", false, 1},
	{"BAD_REQUEST", "Provided request does not meet required conditions.", true, 2},
	{"ERROR", "System error occurred during processing.", true, 2},
	{"ERROR_NOT_ENOUGH_CREDITS", "Not enough credits on account balance to pay for the call.", true, 2},
	{"ERROR_NETWORK_NOT_AVAILABLE", "We could not find network for given destination address.", true, 2},
	{"ERROR_ROUTE_NOT_AVAILABLE", "Route for TTS call is not set up on account.", true, 2},
	{"ERROR_NO_ANSWER", "User did not answer call(s).", true, 2},
	{"ERROR_USER_BUSY", "User was busy during call attempt(s).", true, 2},
	{"ANSWERED_MACHINE", "Request is successfully processed and answered by machine.", true, 2},
	{"PROCESSED", "Request is successfully processed and answered by human.", true, 2},
}

func TestNoSuchStatus(t *testing.T) {
	for _, s := range []event.Status{0, 15, 63, 75, 255} {
		if s.Valid() || s.String() != "" || s.Description() != "" || s.Final() || s.Stage() != 0 {
			t.Errorf("status %d: %q", s, s)
		}
	}
	for _, c := range []event.Channel{0, event.SMS, event.Voice, 3} {
		for _, name := range []string{"", "message_delivered", "DELIVERED", "MESSAGE_DELIVERED "} {
			if got, ok := event.ParseStatus(c, name); ok {
				t.Errorf("ParseStatus(%d, %q) = %d", c, name, got)
			}
		}
	}
	if got, ok := event.ParseStatus(0, "SYSTEM_ERROR"); ok {
		t.Errorf("no channel has the status %d", got)
	}
	if got := event.Channel(0).String(); got != "" {
		t.Errorf("channel 0 is %q", got)
	}
}
