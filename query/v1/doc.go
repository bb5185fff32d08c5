// Package v1 is the project's own dialect: everything that the views say, in one shape.
//
//	GET  /v1/pins/{pinId}                   all that was sent for a PIN code, scope deliveries:read
//	GET  /v1/accounts/{accountId}           all PINs of an account, scope pins:read
//	GET  /v1/pins/{pinId}/watch             the same as a stream of changes
//	GET  /v1/accounts/{accountId}/watch
//	POST /v1/pins:batchGet                  up to 500 at once
//	POST /v1/accounts:batchGet
//	GET  /v1/pinTypes                       the tenant's PIN types, scope pins:read
//
// The credential is a token or an API key. A client's token, which names an account, reads
// that account and nothing else. A request is checked in the order: credential (401), rate
// (429), permission (403), headers, body and ids (400, 413, 415), view (503, 404).
//
// A view has a strong ETag. "Prefer: wait" has a GET wait until the view has another one
// than If-None-Match names, or until there is a view; Pinstatus-Min-Sequence has it wait
// until an event has been processed. Bodies are those of package wire, errors problem
// details (RFC 9457).
package v1
