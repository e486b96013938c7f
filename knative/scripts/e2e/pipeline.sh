# From nothing to a finished sweep, with all functions at zero before and after.
for f in $FUNCTIONS supervise; do
  kubectl -n "$NAMESPACE" wait ksvc "$f" --for=condition=Ready --timeout=180s > /dev/null
done
kubectl -n "$NAMESPACE" wait broker "$BROKER" --for=condition=Ready --timeout=120s > /dev/null
kubectl -n "$NAMESPACE" wait trigger --all --for=condition=Ready --timeout=120s > /dev/null
ok 'Broker, Triggers and functions are Ready'

: > /tmp/e2e-accept.$$
: > /tmp/e2e-whole.$$
: > /tmp/e2e-ready.$$
for round in 1 2 3; do
  until_true 180 'all functions at zero' at_zero
  start=$(millis)
  job=$(sweep cold)
  accepted=$(($(millis) - start))
  while ! completed "$job"; do
    [ $(($(millis) - start)) -lt 120000 ] || die "job $job is still $(state "$job")"
    sleep 0.2
  done
  whole=$(($(millis) - start))
  echo "$accepted" >> /tmp/e2e-accept.$$
  echo "$whole" >> /tmp/e2e-whole.$$
  ok "sweep $round from zero: 202 after $accepted ms, completed after $whole ms" "$job"
  # What of it is ours: what the pods that started for it say of themselves.
  for f in $FUNCTIONS; do
    kubectl -n "$NAMESPACE" logs -l "serving.knative.dev/service=$f" -c user-container --tail=-1 2> /dev/null |
      jq -rR --arg f "$f" 'fromjson? | select(.msg == "function ready") | "\(.after_ms) \($f)"'
  done >> /tmp/e2e-ready.$$
done
ok "cold path p50: 202 after $(median < /tmp/e2e-accept.$$) ms, completed after $(median < /tmp/e2e-whole.$$) ms"
[ -s /tmp/e2e-ready.$$ ] || die 'no function told when it was ready'
ok "of that ours, process start to ready, p50: $(cut -d' ' -f1 /tmp/e2e-ready.$$ | median) ms" "slowest: $(sort -rn /tmp/e2e-ready.$$ | head -n 1)"
rm -f /tmp/e2e-accept.$$ /tmp/e2e-whole.$$ /tmp/e2e-ready.$$

job=$(sweep warm)
until_true 60 "job $job completed" completed "$job"
notified() { call api "/api/jobs/$job/events" | jq -e '.events | map(.type) | index("com.zixly.job.notified.v1")'; }
until_true 60 'the timeline to hold the notification' notified
call api "/webhook/jobs/$job" | jq -e '.results | length > 0' > /dev/null || die "job $job has no results"
ok 'a sweep has results and a whole timeline'
until_true 180 'all functions at zero again' at_zero
ok 'all functions are at zero again'
