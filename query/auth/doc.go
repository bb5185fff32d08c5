// Package auth finds out who asks: it checks API keys and tokens, and says which tenant
// they belong to. The tenant comes from the credential alone, never from what the request
// says of itself.
//
// Tokens are JWTs (RFC 7519) signed with RS256, ES256 or EdDSA. The issuer's keys come
// from the configuration, a URL, or the issuer's discovery document. Fetched keys are
// refreshed in the background, when a token names a key that is not known (so often at
// most), and stand through an outage of the issuer.
//
// Every refusal is counted, and has a line in the audit log that tells who was refused as far
// as the configuration knows, and never what was sent.
package auth
