// Package storetest is the suite that every view store is held to: what the projector
// relies on when it commits, and the query service when it reads.
package storetest
