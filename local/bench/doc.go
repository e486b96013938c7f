// Package bench measures the pipeline from outside: `sweepline bench`. It runs
// the command itself behind a stub of the trading API and one of Slack, on a
// private Redis and a private PostgreSQL, and asks nothing of the pipeline's
// insides: jobs go in by the webhook and come out as notifications; what they
// cost is read from /proc, INFO commandstats, pg_stat_statements, /metrics and a
// proxy that counts Redis commands. So the figures stay comparable whatever is
// changed within.
//
// The same counts, for one job, are kept by the package's budget test.
package bench
