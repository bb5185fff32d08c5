// Package simulate makes up the events of a small world of gateways and accounts, and
// publishes them: to try an installation, to size it, and to see it cope with what gateways
// do to their events, which they repeat, reorder, delay and garble.
//
// Generator makes the events and does no I/O; Run sends them.
package simulate
