# Kills every kind of pod while jobs are on their way.
JOBS=${JOBS:-50}
jobs=/tmp/e2e-jobs.$$
: > "$jobs"
(for ((i = 1; i <= JOBS; i++)); do sweep "chaos$i" >> "$jobs" || echo "job $i refused" >&2; done) &
sender=$!

# kill_pods WHAT SELECTOR deletes without grace, as a node that dies would.
kill_pods() {
  local n
  n=$(kubectl -n "$NAMESPACE" get pods -l "$2" -o name | wc -l)
  [ "$n" -gt 0 ] || return 0
  kubectl -n "$NAMESPACE" delete pods -l "$2" --grace-period=0 --force > /dev/null 2>&1
  ok "killed $1" "$n pods, $(wc -l < "$jobs") jobs sent"
}
broker_pods=app.kubernetes.io/name=sweepline-broker
sleep 5
kill_pods dispatcher "$broker_pods,app.kubernetes.io/component=dispatcher"
sleep 3
kill_pods supervise serving.knative.dev/service=supervise
sleep 2
kill_pods ingress "$broker_pods,app.kubernetes.io/component=ingress"
sleep 5
kill_pods collect serving.knative.dev/service=collect
kill_pods store serving.knative.dev/service=store
kill_pods submit serving.knative.dev/service=submit
sleep 3
kill_pods callback serving.knative.dev/service=callback
sleep 3
kill_pods redis app.kubernetes.io/name=redis
wait $sender
ok "$(wc -l < "$jobs") of $JOBS jobs accepted"
[ "$(wc -l < "$jobs")" -eq "$JOBS" ] || die 'not all jobs were accepted'

all_completed() {
  local id
  for id in $(cat "$jobs"); do
    completed "$id" || return 1
    sed -i "/$id/d" "$jobs"
    echo "$id" >> "$jobs.done"
  done
}
: > "$jobs.done"
start=$(date +%s)
until all_completed; do
  [ $(($(date +%s) - start)) -lt 600 ] || die "still open: $(for id in $(cat "$jobs"); do echo "$id $(state "$id")"; done)"
  sleep 1
done
ok "all $JOBS jobs completed" "$(($(date +%s) - start)) s after the last was accepted"
for id in $(cat "$jobs.done"); do
  call api "/api/jobs/$id/events" |
    jq -e '.events | map(.type) | (map(select(. == "com.zixly.job.completed.v1")) | length == 1) and (index("com.zixly.job.failed.v1") | not)' \
      > /dev/null || die "job $id did not complete once"
done
ok 'each of them once'
rm -f "$jobs" "$jobs.done"
