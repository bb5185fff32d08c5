// Package view is the read model that the projector writes and the query service reads:
// the two kinds of view, the names of their keys in Redis, their binary form, the position
// record, and the change notice.
//
// For every partition p, at every moment: the views of p are the fold of the events of p
// up to the position of p. Both are written by one commit, so they cannot part.
package view
