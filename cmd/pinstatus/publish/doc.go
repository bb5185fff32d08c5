// Package publish puts events onto the event stream from the command line: one that is
// given by flags, or many as lines of JSON.
//
// An event is checked as a consumer would check it before it is published, because the
// stream takes anything and a consumer turns what it cannot take into a dead letter.
package publish
