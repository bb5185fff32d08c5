// Package openapi has the description of the API, for programs and for people.
//
//	GET /openapi.yaml   the document, in OpenAPI 3.1
//	GET /docs           the same as a page
//
// The document is written by hand and is what the API is held to: the tests of all dialects
// compare every exchange with it (package conform). Neither path needs a credential.
package openapi
