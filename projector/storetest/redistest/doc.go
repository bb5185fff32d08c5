// Package redistest starts real Redis servers for tests: child processes without
// persistence, on a unix socket or on free ports of the loopback interface, killed when the
// test ends.
//
// The binary is redis-server of the PATH, or the one that the environment variable
// PINSTATUS_TEST_REDIS_SERVER names (Redis 6.2 or later, or Valkey). A test never skips
// where there is none: it fails.
package redistest
