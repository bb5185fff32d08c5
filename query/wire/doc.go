// Package wire is the JSON of the API's /v1: what its answers and its requests for many
// views consist of, and the names around them. It has no logic but JSON's.
//
// Members of an answer without a value are left out. Members that a reader does not know
// are to be ignored: there may be more of them.
package wire
