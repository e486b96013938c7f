# The Broker class by itself: what is missing is said, and mended when it comes.
cleanup() {
  kill %% 2> /dev/null || true
  kubectl -n $SCRATCH delete broker --all --timeout=60s > /dev/null 2>&1 || true
  kubectl delete namespace $SCRATCH --wait=false > /dev/null 2>&1 || true
}
trap cleanup EXIT
kubectl create namespace $SCRATCH > /dev/null

kubectl apply -f - > /dev/null << Y
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: first, namespace: $SCRATCH, annotations: {eventing.knative.dev/broker.class: RedisStreams}}
spec: {config: {apiVersion: v1, kind: ConfigMap, name: settings, namespace: $SCRATCH}, delivery: {retry: 2, backoffDelay: PT0.5S}}
Y
until_true 30 'a Broker without its ConfigMap to say so' is broker first ConfigReady 'False ConfigInvalid *"settings" not found'
ok 'a Broker without its ConfigMap says so' "$(condition broker first ConfigReady)"
settings() {
  kubectl apply -f - > /dev/null << Y
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: $SCRATCH}
data: {redis-secret: redis, $1}
Y
}
settings 'BROKER_RETENTION: yesterday'
until_true 30 'a bad setting to be named' is broker first ConfigReady 'False ConfigInvalid *BROKER_RETENTION*'
ok 'a bad setting is named' "$(condition broker first ConfigReady)"
settings 'ingress-replicas: "1", dispatcher-replicas: "1", BROKER_BLOCK: 200ms'
until_true 60 'a Broker without its Secret to say so' is broker first IngressReady 'False CreateContainerConfigError *secret*redis*'
ok 'a Broker without its Secret says so' "$(condition broker first IngressReady)"
start=$(millis)
kubectl -n $SCRATCH create secret generic redis --from-literal=REDIS_URL="redis://redis.$NAMESPACE.svc.cluster.local:6379" > /dev/null
until_true 90 'the Broker to recover' is broker first Ready 'True*'
ok 'and recovers when it comes' "$(($(millis) - start)) ms"

if kubectl -n $SCRATCH patch broker first --type=merge -p '{"spec":{"config":{"name":"other"}}}' > /dev/null 2>&1; then
  die 'spec.config could be changed'
fi
if kubectl -n $SCRATCH annotate --overwrite broker first eventing.knative.dev/broker.class=MTChannelBasedBroker > /dev/null 2>&1; then
  die 'the class could be changed'
fi
ok 'class and spec.config are immutable'

# The second Broker is the subscriber: what it stores can be counted.
kubectl apply -f - > /dev/null << Y
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: pass, namespace: $SCRATCH}
spec:
  broker: first
  filters: [{exact: {type: a}}]
  subscriber: {ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: second}}
Y
until_true 30 'a missing subscriber to be named' is trigger pass SubscriberResolved 'False*second*'
ok 'a subscriber that is missing is named' "$(condition trigger pass SubscriberResolved)"
kubectl apply -f - > /dev/null << Y
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: second, namespace: $SCRATCH, annotations: {eventing.knative.dev/broker.class: RedisStreams}}
spec: {config: {apiVersion: v1, kind: ConfigMap, name: settings, namespace: $SCRATCH}, delivery: {retry: 2}}
Y
until_true 90 'the Trigger to become Ready' is trigger pass Ready 'True*'
ok 'and the Trigger is Ready when it comes' "$(kubectl -n $SCRATCH get trigger pass -o jsonpath='{.status.subscriberUri}')"

kubectl -n $SCRATCH port-forward service/first-broker-ingress 18081:80 > /dev/null 2>&1 &
until_true 30 'the port-forward' curl -s -o /dev/null http://127.0.0.1:18081/
# post TYPE ID
post() {
  [ "$(curl -s -o /dev/null -w '%{http_code}' --max-time 10 "http://127.0.0.1:18081/$SCRATCH/first" -H 'ce-specversion: 1.0' -H "ce-type: $1" \
    -H "ce-id: $2" -H 'ce-source: /e2e' -H 'Content-Type: application/json' -d '{}')" = 202 ] || die "event $2 was refused"
}
stored() { redis XLEN "sweepline:{$SCRATCH/$1/0}:history"; }
holds() { [ "$(stored "$1")" = "$2" ]; }
no_queue() { [ "$(redis EXISTS "sweepline:{$SCRATCH/first/0}:q:$1" | tr -dc 0-9)" = 0 ]; }

for i in $(seq 20); do post a "a$i"; post b "b$i"; done
until_true 30 'twenty of type a to arrive' holds second 20
ok 'only what the filter lets through arrives'

(for i in $(seq 60); do post b "c$i"; sleep 0.1; done) &
stream=$!
kubectl -n $SCRATCH patch trigger pass --type=merge -p '{"spec":{"filters":[{"exact":{"type":"b"}}]}}' > /dev/null
start=$(millis)
up_to_date() {
  kubectl -n $SCRATCH get trigger pass -o json | jq -e '.status.observedGeneration == .metadata.generation
    and (.status.conditions | map(select(.type == "Ready"))[0].status == "True")'
}
until_true 30 'the change to be Ready' up_to_date
took=$(($(millis) - start))
post b marker
wait $stream
for i in $(seq 10); do post b "d$i"; done
changed=$(redis XLEN "sweepline:{$SCRATCH/first/0}:history")
at_least() { [ "$(stored "$1")" -ge "$2" ]; }
until_true 30 'the events after the change to arrive' at_least second 31
ok "a filter was changed while events flowed ($changed of them)" "Ready after $took ms"

kubectl -n $SCRATCH delete trigger pass --timeout=60s > /dev/null
until_true 5 'the queue to be gone' no_queue pass
ok 'deleting a Trigger destroys its queue'

held=$(redis --raw KEYS "sweepline:*$SCRATCH/first/*" | grep -c .)
kubectl -n $SCRATCH delete broker first --timeout=90s > /dev/null
left=$(redis --raw KEYS "sweepline:*$SCRATCH/first/*" | grep -c . || true)
[ "$left" = 0 ] || die "$left keys are left of the Broker"
ok 'deleting a Broker removes its streams' "$held keys"
no_ingress() { ! kubectl -n $SCRATCH get deploy first-broker-ingress; }
until_true 60 'its data plane to go' no_ingress
kubectl delete namespace $SCRATCH --timeout=180s > /dev/null
ok 'its namespace goes, with a Broker in it'
# The pods went first, so nobody was left to clean up: see sweepline leftovers.
redis --raw KEYS "sweepline:*$SCRATCH/*" | while read -r key; do redis UNLINK "$key" > /dev/null; done
redis SREM sweepline:brokers "$SCRATCH/second" > /dev/null
trap - EXIT
