# Restarts everything while jobs are on their way: nothing is lost or refused.
jobs=/tmp/e2e-jobs.$$
: > "$jobs"
(for i in $(seq 20); do sweep "rollout$i" >> "$jobs"; sleep 1; done) &
sender=$!
kubectl -n "$NAMESPACE" rollout restart deploy -l app.kubernetes.io/name=sweepline-broker > /dev/null
now=$(millis)
for f in $FUNCTIONS supervise; do
  kubectl -n "$NAMESPACE" patch ksvc "$f" --type=merge \
    -p "{\"spec\":{\"template\":{\"metadata\":{\"annotations\":{\"sweepline.dev/rolled\":\"$now\"}}}}}" > /dev/null
done
for d in $(kubectl -n "$NAMESPACE" get deploy -l app.kubernetes.io/name=sweepline-broker -o name); do
  kubectl -n "$NAMESPACE" rollout status "$d" --timeout=180s > /dev/null
done
for f in $FUNCTIONS supervise; do
  kubectl -n "$NAMESPACE" wait ksvc "$f" --for=condition=Ready --timeout=180s > /dev/null
done
wait $sender || die 'a job was refused'
ok 'new revisions of all functions, new pods of the broker' "$(wc -l < "$jobs") jobs meanwhile"
for id in $(cat "$jobs"); do until_true 300 "job $id completed" completed "$id"; done
ok 'all jobs completed'
rm -f "$jobs"
