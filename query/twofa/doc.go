// Package twofa is the dialect of delivery status: what became of the messages and calls
// that carried a PIN code.
//
//	GET /2fa/1/pin/{pinId}/status
//	GET /2fa/1/pin/{pinId}/status/sms
//	GET /2fa/1/pin/{pinId}/status/voice
//
// The credential is an API key, and decides the tenant. The dialect, as published, knows no
// answer for a key that lacks the scope deliveries:read: it is 401, as for no key. A
// request is checked in the order: credential (401), rate (429), id (400), view (503,
// 404).
//
// Browser clients call this dialect directly: see crossOrigin.
package twofa
