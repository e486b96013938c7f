# Sourced by the stories. Every wait is bounded and says what it waited for.
NAMESPACE=${NAMESPACE:-sweepline}
BROKER=${BROKER:-default}
SCRATCH=sweepline-e2e-$$ # a namespace of its own for each run, and in e2e.sh for each story
FUNCTIONS='receive submit callback collect store notify api dashboard'

die() { echo "${0##*/}: $*" >&2; exit 1; }
need() { for tool; do command -v "$tool" > /dev/null || die "needs $tool"; done; }
ok() { printf 'ok  %-60s %s\n' "$1" "${2:-}"; }
millis() { date +%s%3N; }

# until_true SECONDS WHAT CMD… runs CMD until it succeeds.
until_true() {
  local end=$(($(date +%s) + $1)) what=$2
  shift 2
  until "$@" > /dev/null 2>&1; do
    [ "$(date +%s)" -lt "$end" ] || die "waited in vain: $what"
    sleep 0.3
  done
}

find_gateway() {
  [ -n "${GATEWAY:-}" ] && return
  local where
  for where in 'kourier-system kourier' 'traefik traefik'; do
    read -r ns name <<< "$where"
    GATEWAY=$(kubectl -n "$ns" get service "$name" -o json 2> /dev/null |
      jq -r '((.status.loadBalancer.ingress // [])[0].ip // .spec.clusterIP) + ":80"') && [ -n "$GATEWAY" ] && return
  done
  die 'found no gateway: set GATEWAY=host:port'
}

# call FUNCTION PATH [curl arguments] goes the way of an outside client.
call() {
  local url
  url=$(kubectl -n "$NAMESPACE" get ksvc "$1" -o jsonpath='{.status.url}')
  curl -sS --max-time 60 --connect-to "::$GATEWAY" ${TENANT_KEY:+-H "Authorization: Bearer $TENANT_KEY"} "$url$2" "${@:3}"
}

# sweep NAME posts a small sweep and prints the job's id. Bodies of refusals that
# curl retries are left out: only the last answer has the id.
sweep() {
  call receive /webhook/trading-sweep --fail --retry 5 --retry-all-errors -H 'Content-Type: application/json' \
    -H "Idempotency-Key: e2e-$1-$(millis)-$RANDOM" \
    -d '{"ticker":"DAX","fast_range":[5,10],"slow_range":[20,30],"step":5,"min_trades":10}' | jq -re .job_id
}

state() { call api "/webhook/jobs/$1" | jq -r .status; }
completed() { [ "$(state "$1")" = COMPLETED ]; }

# condition KIND NAME TYPE prints "status reason message".
condition() {
  kubectl -n "${CONDITION_NAMESPACE:-$SCRATCH}" get "$1" "$2" -o json |
    jq -r --arg type "$3" '.status.conditions // [] | map(select(.type == $type))[0] | "\(.status) \(.reason // "") \(.message // "")"'
}
is() { [[ "$(condition "$1" "$2" "$3")" == $4 ]]; }

pods_of() {
  kubectl -n "$NAMESPACE" get pods -l "serving.knative.dev/service=$1" \
    --field-selector=status.phase!=Succeeded -o json | jq '[.items[] | select(.metadata.deletionTimestamp == null)] | length'
}
none_of() { [ "$(pods_of "$1")" = 0 ]; }
at_zero() { for f in $FUNCTIONS; do none_of "$f" || return 1; done; }

redis() { kubectl -n "$NAMESPACE" exec redis-0 -- redis-cli "$@"; }
median() { sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
