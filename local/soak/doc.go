// Package soak runs the pipeline as it runs in earnest, each function a process
// of its own, and ends those processes with kill -9 while jobs wait. It has
// tests only: short ones that are part of every test run, and long ones with
// the durations that the README tells of under SWEEPLINE_SOAK=1. The race
// detector has nothing to see here, as all that works is in other processes, so
// the tests are left out under it.
//
// Real are the function binaries, the broker with the pipeline's own manifests,
// Redis and PostgreSQL. Only the trading API is simulated, within the test, so
// that it can be asked what it saw.
package soak
