#!/bin/bash
# Starts every function with Knative's own "func run" (host builder: no docker)
# behind the broker, and has one job go through all of them. Redis and PostgreSQL
# are taken from REDIS_URL and DATABASE_URL; use empty ones.
set -euo pipefail
cd "$(dirname "$0")/../.."
die() { echo "func-e2e: $*" >&2; exit 1; }
for tool in curl jq; do command -v $tool > /dev/null || die "needs $tool"; done
[ -n "${REDIS_URL:-}" ] && [ -n "${DATABASE_URL:-}" ] || die 'set REDIS_URL and DATABASE_URL'
[ -x bin/sweepline ] || die 'needs bin/sweepline: make build'
BASE=${PORT_BASE:-18100}
export K_SINK=http://127.0.0.1:$((BASE + 10))/sweepline/default
declare -A port
functions=(receive submit callback collect store notify api dashboard supervise)
for i in "${!functions[@]}"; do port[${functions[$i]}]=$((BASE + i)); done

logs=$(mktemp -d)
pids=()
stop() {
  # func run hands SIGINT on to the function; its group has both.
  for pid in "${pids[@]}"; do kill -INT -- "-$pid" 2> /dev/null || true; done
  sleep 1
  for pid in "${pids[@]}"; do kill -KILL -- "-$pid" 2> /dev/null || true; done
  wait 2> /dev/null || true # without a word on those that were killed
  rm -rf "$logs"
}
trap stop EXIT
start() { # start NAME CMD…
  setsid "${@:2}" > "$logs/$1" 2>&1 &
  pids+=($!)
}
answers() { # answers NAME URL
  for _ in $(seq 600); do
    curl -sf -o /dev/null --max-time 2 "$2" && return
    sleep 0.2
  done
  tail -20 "$logs/$1" >&2
  die "$1 does not answer at $2"
}

# The wiring of the cluster, with the ports of this run for the names.
mkdir "$logs/wiring"
awk -v ports="$(for f in "${functions[@]}"; do printf '%s=%s ' "$f" "${port[$f]}"; done)" '
  BEGIN { n = split(ports, all, " "); for (i = 1; i <= n; i++) { split(all[i], p, "="); at[p[1]] = p[2] } }
  held && /uri: \// { sub(/.*uri: /, ""); print held $0; held = ""; next }
  held { print held; held = "" }
  /ref: .*kind: Service/ { match($0, /name: [a-z]+/); held = substr($0, 1, index($0, "ref:") - 1) "uri: http://127.0.0.1:" at[substr($0, RSTART + 6, RLENGTH - 6)]; next }
  { print }
  END { if (held) print held }' knative/config/base/200-triggers.yaml > "$logs/wiring/triggers.yaml"
cp knative/config/base/100-broker.yaml "$logs/wiring/"

start simulator bin/sweepline simulator --port $((BASE + 9)) --delay 1s
start broker bin/sweepline broker --config "$logs/wiring" --port $((BASE + 10)) --admin-port $((BASE + 11))
for f in "${functions[@]}"; do
  start "$f" env CALLBACK_SECRET=only-for-this-run-1234567890 EVENT_SEAL_KEY=only-for-this-run-1234567890 knative/scripts/func.sh run "$f" --address "127.0.0.1:${port[$f]}" \
    -e REDIS_URL="$REDIS_URL" -e DATABASE_URL="$DATABASE_URL" -e TRADING_API_URL="http://127.0.0.1:$((BASE + 9))" \
    -e WEBHOOK_BASE_URL="http://127.0.0.1:${port[callback]}" -e CALLBACK_SECRET=only-for-this-run-1234567890 \
    -e EVENT_SEAL_KEY=only-for-this-run-1234567890
  answers "$f" "http://127.0.0.1:${port[$f]}/health/readiness"
  echo "ok  func run $f"
done
answers simulator "http://127.0.0.1:$((BASE + 9))/health"

receive=http://127.0.0.1:${port[receive]} api=http://127.0.0.1:${port[api]}
job=$(curl -sf --max-time 20 "$receive/webhook/trading-sweep" -H 'Content-Type: application/json' \
  -d '{"ticker":"DAX","fast_range":[5,10],"slow_range":[20,30],"step":5,"min_trades":10}' | jq -re .job_id)
for _ in $(seq 300); do
  types=$(curl -s --max-time 5 "$api/api/jobs/$job/events" | jq -r '.events[]?.type' | sort -u)
  grep -q notified <<< "$types" && break
  sleep 0.2
done
grep -q notified <<< "$types" || { tail -3 "$logs"/*; die "job $job did not get through: $types"; }
curl -s "$api/webhook/jobs/$job" | jq -r '"ok  job \(.status) in \(.duration_seconds) s, \(.results | length) results"'
