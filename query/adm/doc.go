// Package adm is the dialect of account PINs: the state of all PINs of an account, for
// operators and for the account's own clients.
//
//	GET /adm/v1/accounts/{accountId}/pins/status   operators, scope pins:read
//	GET /adm/v1/user/accounts/pins/status          the account in the token
//	GET /adm/v1/pinTypes                           the tenant's PIN types
//
// The credential is a token. A request is checked in the order: token (401), rate (429),
// nv-tenant-id given (400), permission (403), account id (400), view (503, 404).
package adm
