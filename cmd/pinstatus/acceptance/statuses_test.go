package acceptance

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The lists of the event contract: every value, what is answered for it, and whether it is
// final.
var statuses = []struct {
	channel, value, description string
	final                       bool
}{
	{"sms", "MESSAGE_NOT_SENT", "Message not sent", false},
	{"sms", "MESSAGE_ACCEPTED", "Message accepted", true},
	{"sms", "MESSAGE_WAITING_DELIVERY", "Message sent, waiting for delivery", false},
	{"sms", "MESSAGE_DELIVERY_UNKNOWN", "Message delivery unknown", true},
	{"sms", "MESSAGE_EXPIRED", "Message expired", true},
	{"sms", "MESSAGE_NOT_DELIVERED", "Message sent, not delivered", true},
	{"sms", "MESSAGE_NETWORK_NOT_ALLOWED", "Message not sent, network not allowed", true},
	{"sms", "MESSAGE_NETWORK_NOT_AVAILABLE", "Message not sent, bulk or gateway offline", true},
	{"sms", "MESSAGE_INVALID_DESTINATION_ADDRESS", "Message not sent, invalid destination address", true},
	{"sms", "INVALID_SOURCE_ADDRESS", "Message not sent, invalid source address", true},
	{"sms", "NOT_ENOUGH_CREDITS", "Message not sent, not enough credits", true},
	{"sms", "MESSAGE_REJECTED", "Message rejected", true},
	{"sms", "SYSTEM_ERROR", "System error", true},
	{"sms", "MESSAGE_DELIVERED", "Message sent and delivered", true},

	{"voice", "UNDEFINED", "Request is undefined.", false},
	{"voice", "PROCESSING", "Request is currently being processed.", false},
	{"voice", "BAD_REQUEST", "Provided request does not meet required conditions.", true},
	{"voice", "ERROR", "System error occurred during processing.", true},
	{"voice", "ERROR_NOT_ENOUGH_CREDITS", "Not enough credits on account balance to pay for the call.", true},
	{"voice", "ERROR_NETWORK_NOT_AVAILABLE", "We could not find network for given destination address.", true},
	{"voice", "ERROR_ROUTE_NOT_AVAILABLE", "Route for TTS call is not set up on account.", true},
	{"voice", "ERROR_NO_ANSWER", "User did not answer call(s).", true},
	{"voice", "ERROR_USER_BUSY", "User was busy during call attempt(s).", true},
	{"voice", "ANSWERED_MACHINE", "Request is successfully processed and answered by machine.", true},
	{"voice", "PROCESSED", "Request is successfully processed and answered by human.", true},
}

func TestStatuses(t *testing.T) {
	t.Parallel()
	p := serve(t, newConfig(t), "--data-dir", t.TempDir())
	b := connect(t, p.nats)
	var last uint64
	for _, s := range statuses {
		e := smsStatus("acme", s.value, "m1", s.value)
		if s.channel == "voice" {
			e = voiceStatus("acme", s.value, "c1", s.value)
		}
		last = b.publish(e)
	}
	p.projected(last)
	for _, s := range statuses {
		t.Run(s.value, func(t *testing.T) {
			other := map[string]string{"sms": "voice", "voice": "sms"}[s.channel]
			want := "[" + entryText(s.value, s.description, s.final) + "]"
			for suffix, body := range map[string]string{"": want, "/" + s.channel: want, "/" + other: "[]"} {
				a, err := p.deliveryAt(t.Context(), "acme", "/2fa/1/pin/"+s.value+"/status"+suffix)
				if err == nil {
					err = a.is(http.StatusOK, body)
				}
				if err != nil {
					t.Errorf("status%s: %v", suffix, err)
				}
			}
		})
	}
}

// Rules D1 and D2: of all reports on an entry the one of the latest stage counts, in
// whichever order and however often they come, and entries stand in the order of their
// earliest report.
func TestStatusesOfOneCode(t *testing.T) {
	t.Parallel()
	p := serve(t, newConfig(t), "--data-dir", t.TempDir())
	b := connect(t, p.nats)
	began := time.Now().Add(-time.Minute)
	var last uint64
	var want []string
	for i, s := range statuses {
		entry := strconv.Itoa(len(statuses) - i) // ids sort the other way
		first, final := smsStatus("acme", "2B67", entry, "MESSAGE_NOT_SENT"), smsStatus("acme", "2B67", entry, s.value)
		if s.channel == "voice" {
			first, final = voiceStatus("acme", "2B67", entry, "UNDEFINED"), voiceStatus("acme", "2B67", entry, s.value)
		}
		first.at = began.Add(time.Duration(i) * time.Second)
		final.at = first.at.Add(30 * time.Second)
		last = b.publish(final, first, final)
		want = append(want, entryText(s.value, s.description, s.final))
	}
	p.projected(last)
	a, err := p.delivery(t.Context(), "acme", "2B67")
	if err == nil {
		err = a.is(http.StatusOK, "["+strings.Join(want, ",")+"]")
	}
	if err != nil {
		t.Errorf("rules D1 and D2: %v", err)
	}
}
