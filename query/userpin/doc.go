// Package userpin is the dialect of a user's PIN: whether it is set, waiting for it to be
// set if asked to.
//
//	GET /user/pin?timeout=N
//	GET /user/{version}/user/pin?timeout=N
//
// The credential is a token; its account is the one that is asked about, and the PIN type
// is the tenant's UserPINType. A request is checked in the order: token (401), rate (429),
// account in the token (401), scope (403), timeout (400), place to wait (429).
//
// A fault is 501 in this dialect, and so are views that cannot be read: published clients
// know nothing else.
package userpin
