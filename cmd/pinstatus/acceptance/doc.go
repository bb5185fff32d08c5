// Package acceptance tests pinstatus as a whole: it builds the binary and speaks NATS and
// HTTP to it from outside, as gateways and applications do. Everything is real: the broker,
// Redis, the processes, and how they are killed.
//
// What is published is written out as JSON, and what has to be answered as text, from the
// event and API contracts and not with the code under test. Where streams are random, the
// answers are compared with the reference fold (projector/fold/foldtest) of what the stream
// holds.
//
// No test waits for a fixed time: each waits for a condition, for as long as a slow machine
// may take. The latencies that were measured are in the tests' logs (go test -v).
package acceptance
