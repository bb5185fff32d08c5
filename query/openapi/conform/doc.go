// Package conform compares exchanges over HTTP with a description of the API in OpenAPI
// 3.1. It is for tests: what a handler answers and the description does not say is an
// error, down to the members of a body.
//
// An exchange conforms if
//   - its path, its method and its status code are described,
//   - a request that succeeded has what the operation requires: credential, parameters and
//     body,
//   - the answer has the headers that the code requires, no others but general ones, the
//     content type, and a body that its schema describes.
//
// Objects that a schema describes have no members but those described, although clients are
// told to ignore others. The body of a watch is compared event by event.
package conform
