#!/usr/bin/env bash
# Runs the pipeline in the foreground, with no limit of sweeps and calls, for a
# load driver. SIGTERM ends it.
#
#   REDIS_URL, DATABASE_URL   stores of its own; what is in them is taken up
#   TRADING_API_URL           the trading API, or a stub of it
#   SLACK_WEBHOOK_URL         is told of each job: the message holds "job_id":"…"
#   PORT                      public port: POST /webhook/trading-sweep, GET /health
#   WEBHOOK_BASE_URL          where the trading API reaches PORT
#   ROLE                      all (default); receiver: accept durably, drain nothing;
#                             worker: everything but accepting
#
# For our own driver also: ADMIN_PORT (metrics; default any free one),
# BROKER_PORT (default any free one), DATA_DIR (lock and log; default a folder in /tmp
# for each port), PROFILE (folder for profiles; default none), SWEEPLINE (the program;
# default bin/sweepline, built if it is missing).
set -euo pipefail
: "${REDIS_URL:?}" "${DATABASE_URL:?}" "${TRADING_API_URL:?}" "${SLACK_WEBHOOK_URL:?}" "${PORT:?}"
export WEBHOOK_BASE_URL=${WEBHOOK_BASE_URL:-http://127.0.0.1:$PORT}
export TRADING_API_MAX_CONCURRENT=0 TRADING_API_REQUESTS_PER_MINUTE=0
# Roles of one pipeline sign for each other.
export CALLBACK_SECRET=${CALLBACK_SECRET:-a-secret-for-benchmarks-that-guards-nothing}
export EVENT_SEAL_KEY=${EVENT_SEAL_KEY:-a-secret-for-benchmarks-that-guards-nothing}
if [ -z "${SWEEPLINE:-}" ]; then
  root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
  SWEEPLINE=$root/bin/sweepline
  [ -x "$SWEEPLINE" ] || make -C "$root" build >&2
fi
# In place of this shell, so that signals and measurements meet the pipeline itself.
exec "$SWEEPLINE" up --role "${ROLE:-all}" --port "$PORT" --broker-port "${BROKER_PORT:-0}" --admin-port "${ADMIN_PORT:-0}" \
  --data-dir "${DATA_DIR:-${TMPDIR:-/tmp}/sweepline-bench-$PORT}" ${PROFILE:+--profile "$PROFILE"}
