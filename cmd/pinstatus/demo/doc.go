// Package demo is the configuration of a process that was given none: one tenant to try
// things with. Its keys are made at the start, live in memory alone, and are printed.
package demo
