# What Knative asks of any Broker class, beside what the other stories show: subscribers
# that can never be reached, dependencies, CloudEvents 0.3, and a namespace that goes as
# a whole. The second Broker is the dead letter sink and the subscriber: what it stores
# can be counted.
cleanup() {
  kill %% 2> /dev/null || true
  kubectl delete namespace $SCRATCH --wait=false > /dev/null 2>&1 || true
}
trap cleanup EXIT
kubectl create namespace $SCRATCH > /dev/null
kubectl -n $SCRATCH create secret generic redis --from-literal=REDIS_URL="redis://redis.$NAMESPACE.svc.cluster.local:6379" > /dev/null
class_broker() {
  cat << Y
---
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: $1, namespace: $SCRATCH, annotations: {eventing.knative.dev/broker.class: RedisStreams}}
spec: {config: {apiVersion: v1, kind: ConfigMap, name: settings, namespace: $SCRATCH}, delivery: {retry: 2, backoffDelay: PT0.5S}}
Y
}
to_second='ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: second}'
# All at once, as people apply things: what waits for another is no warning.
(
  class_broker first
  class_broker second
  cat << Y
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: $SCRATCH}
data: {redis-secret: redis, ingress-replicas: "1", dispatcher-replicas: "1", BROKER_BLOCK: 200ms}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: never, namespace: $SCRATCH}
spec:
  broker: first
  filters: [{exact: {type: never}}]
  subscriber: {uri: "bad://uri"}
  delivery: {retry: 5, backoffDelay: PT1H, deadLetterSink: {$to_second}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata:
  name: depends
  namespace: $SCRATCH
  annotations: {knative.dev/dependency: '{"apiVersion":"sources.knative.dev/v1","kind":"SinkBinding","name":"ticks"}'}
spec:
  broker: first
  filters: [{exact: {type: depends}}]
  subscriber: {$to_second}
Y
) | kubectl apply -f - > /dev/null
until_true 120 'the first Broker to be Ready' is broker first Ready 'True*'
until_true 120 'the second Broker to be Ready' is broker second Ready 'True*'
until_true 60 'a Trigger to a scheme that nothing can be posted to' is trigger never Ready 'True*'
ok 'a subscriber that can never be reached is taken' "$(kubectl -n $SCRATCH get trigger never -o jsonpath='{.status.subscriberUri}')"

kubectl -n $SCRATCH port-forward service/first-broker-ingress 18081:80 > /dev/null 2>&1 &
until_true 30 'the port-forward' curl -s -o /dev/null http://127.0.0.1:18081/
# post TYPE ID [VERSION]
post() {
  [ "$(curl -s -o /dev/null -w '%{http_code}' --max-time 10 "http://127.0.0.1:18081/$SCRATCH/first/" -H "ce-specversion: ${3:-1.0}" \
    -H "ce-type: $1" -H "ce-id: $2" -H 'ce-source: /e2e' -H 'Content-Type: application/json' -d '{}')" = 202 ] || die "event $2 was refused"
}
digits() { redis "$@" | tr -dc 0-9; }
stored() { digits XLEN "sweepline:{$SCRATCH/$1/0}:history"; }
holds() { [ "$(stored "$1")" = "$2" ]; }
queued() { [ "$(digits XLEN "sweepline:{$SCRATCH/first/0}:q:$1")" = "$2" ]; }

post never n1
until_true 30 'its event at the dead letter sink' holds second 1
post never n2 0.3
until_true 30 'one of CloudEvents 0.3, too' holds second 2
ok 'its events go to the dead letter sink at once' 'CloudEvents 1.0 and 0.3'

is trigger depends DependencyReady 'False DependencyDoesNotExist*' || die "$(condition trigger depends DependencyReady)"
post depends d0
[ "$(digits EXISTS "sweepline:{$SCRATCH/first/0}:q:depends")" = 0 ] || die 'a Trigger that waits for its dependency is subscribed'
ok 'a Trigger waits for what it depends on' "$(condition trigger depends Ready)"
# A source that is Ready by itself: no adapter of its own has to be installed.
ticks() {
  kubectl apply -f - > /dev/null << Y
apiVersion: sources.knative.dev/v1
kind: SinkBinding
metadata: {name: ticks, namespace: $SCRATCH}
spec: {subject: {apiVersion: apps/v1, kind: Deployment, selector: {matchLabels: {none: such}}}, sink: {$to_second}}
Y
}
ticks
until_true 90 'the Trigger to be Ready' is trigger depends Ready 'True*'
post depends d1
until_true 30 'its event' holds second 3
kubectl -n $SCRATCH delete sinkbinding ticks --timeout=60s > /dev/null
until_true 30 'the dependency to be missed' is trigger depends DependencyReady 'False*'
held() { kubectl -n $SCRATCH get configmap first-broker-contract -o jsonpath='{.data.triggers\.yaml}' | grep -q sweepline.dev/hold; }
until_true 30 'the Trigger to be held' held
served() {
  local want pod
  want=$(kubectl -n $SCRATCH get configmap first-broker-contract -o jsonpath='{.data.generation}')
  for pod in $(kubectl -n $SCRATCH get pods -l eventing.knative.dev/broker=first -o name); do
    kubectl get --raw "/api/v1/namespaces/$SCRATCH/${pod/pod/pods}:9090/proxy/contract" | jq -e --argjson want "$want" '.generation >= $want' || return 1
  done
}
until_true 30 'the pods to serve that' served
post depends d2
until_true 10 'its event to wait' queued depends 1
holds second 3 || die 'a Trigger that is not Ready was delivered to'
ticks
until_true 90 'the Trigger to be Ready again' is trigger depends Ready 'True*'
until_true 30 'the event that waited' holds second 4
ok 'it is held while that is gone, and loses nothing'

warnings=$(kubectl -n $SCRATCH get events --field-selector type=Warning -o json |
  jq -r '.items[] | select(.involvedObject.kind == ("Broker", "Trigger")) | "\(.reason) \(.involvedObject.kind)/\(.involvedObject.name): \(.message)"')
[ -z "$warnings" ] || die "warnings where nothing was wrong: $warnings"
ok 'no warnings'

kubectl delete namespace $SCRATCH --timeout=180s > /dev/null
kept() { kubectl -n default get events -o json | jq -e --arg ns $SCRATCH '[.items[] | select(.reason == "StreamsKept" and .involvedObject.name == $ns)] | length > 0'; }
until_true 10 'the Namespace to say StreamsKept' kept
ok 'a namespace goes with its Brokers, and says what it leaves'
redis --raw KEYS "sweepline:*$SCRATCH/*" | while read -r key; do redis UNLINK "$key" > /dev/null; done
redis SREM sweepline:brokers "$SCRATCH/first" "$SCRATCH/second" > /dev/null
trap - EXIT
