package event

import (
	"encoding/binary"
	"slices"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
)

// IdentityHash is a hash of what identifies the event within tenant and key: its source and id.
// It may be stored: events of the same identity keep the same hash in every release.
func (e *Event) IdentityHash() uint64 {
	var a [256]byte
	b := appendField(a[:0], e.Source)
	b = appendField(b, e.ID)
	return xxhash.Sum64(b)
}

// ContentHash is a hash of all that the event says. Two events of one identity with
// different content are their publisher's fault. What differs only in transport (content mode, white
// space, trace context, the zone that a time is written in) has the same hash.
//
// Of To it takes what MaskTo leaves, so that nobody who reads a stored hash can try
// phone numbers against it. It may be stored: see IdentityHash.
func (e *Event) ContentHash() uint64 {
	var a [512]byte
	b := append(a[:0], byte(e.Type))
	b = appendField(b, e.Source)
	b = appendField(b, e.ID)
	b = appendField(b, e.Tenant)
	b = appendField(b, e.Key)
	b = appendNumber(b, e.Time)
	switch e.Type {
	case SMSStatus, VoiceStatus:
		b = appendField(b, e.EntryID)
		b = append(b, byte(e.Status))
		b = appendField(b, e.AccountID)
		b = appendField(b, e.Gateway)
		b = appendMasked(b, e.To)
		b = appendField(b, e.Network)
		b = appendField(b, e.ErrorCode)
		b = appendField(b, e.ErrorText)
		b = appendField(b, e.Price.Amount)
		b = appendField(b, e.Price.Currency)
		if e.Type == VoiceStatus {
			b = appendNumber(b, e.DurationSeconds)
		}
	case CodeVerification:
		b = append(b, byte(e.Outcome))
		b = appendNumber(b, e.AttemptsRemaining)
	case Attempt:
		b = append(b, byte(e.Outcome))
		b = appendField(b, e.PINType)
		b = appendField(b, e.Device)
	case PINSet, PINUnset, PINUnlocked:
		b = appendField(b, e.PINType)
	case PINLocked:
		b = appendField(b, e.PINType)
		b = appendNumber(b, e.Until)
	case AccountProvisioned:
		for _, name := range slices.Sorted(slices.Values(e.SetPINs)) {
			b = appendField(b, name)
		}
	}
	return xxhash.Sum64(b)
}

// appendField appends a string behind its length, so that no two lists of strings give the
// same bytes.
func appendField(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendNumber(b []byte, n int64) []byte {
	return binary.LittleEndian.AppendUint64(b, uint64(n)) //nolint:gosec // its bits
}

// appendMasked appends what MaskTo leaves.
func appendMasked(b []byte, to string) []byte {
	n := utf8.RuneCountInString(to)
	b = binary.AppendUvarint(b, uint64(n)) //nolint:gosec // not negative
	if n <= shownCharacters {
		return b
	}
	return appendField(b, shownEnd(to))
}
