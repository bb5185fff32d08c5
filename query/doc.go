// Package query answers what apps ask of the views: the executor that every dialect of the
// API shares, and the HTTP server that carries the dialects.
//
// The executor (Service) reads views through the Views interface and judges them: whether a
// view may be shown at all, whether a PIN is locked now and for how long. It also holds the
// requests that wait for a view to change, and wakes them on the projector's change
// notices. It follows the generation of views that serves, so that a rebuild is not seen by
// those who ask, and knows how far behind the event stream an answer is. It knows no HTTP
// and no JSON.
//
// A dialect (package twofa, adm, userpin) translates one published API to the executor and
// back. It gives the Server its routes, and turns every error into its own form in one
// place. Dialects know the executor and never each other.
package query
