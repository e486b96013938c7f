//go:build linux

// Command chaos breaks a running pipeline by a seeded schedule and checks from
// outside that every promise held.
//
// It starts private real processes (redis-server, PostgreSQL, the trading API's
// simulator and the pipeline), joins them by TCP proxies of its own, sends jobs,
// injects faults, heals everything, waits until nothing moves any more and
// computes a verdict. It knows the pipeline by its contract only: HTTP, the
// environment, the SQL tables, the Trigger manifests, and what any redis-cli can
// see. It imports no package of the pipeline but the one that prepares a private
// PostgreSQL.
//
// One run in order: world (processes, links) → load (requests) and schedule
// (faults) side by side → quiet → observe → judge → report.
package main
