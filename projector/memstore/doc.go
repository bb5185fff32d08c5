// Package memstore keeps the views in memory: what a single process uses, and what a
// simulation runs on. It says what a Redis would say, by a clock of the caller's.
package memstore
