# Events by https where the cluster asks for it: one Broker posts to another, each
# with a certificate that only its address vouches for.
need openssl
before=$(kubectl -n knative-eventing get configmap config-features -o json | jq -r '.data["transport-encryption"] // "disabled"')
encryption() {
  kubectl -n knative-eventing patch configmap config-features --type=merge -p "{\"data\":{\"transport-encryption\":\"$1\"}}" > /dev/null
}
secrets=$(mktemp -d)
cleanup() {
  kill %% 2> /dev/null || true
  encryption "$before"
  kubectl -n $SCRATCH delete broker --all --timeout=60s > /dev/null 2>&1 || true
  kubectl delete namespace $SCRATCH --wait=false > /dev/null 2>&1 || true
  rm -rf "$secrets"
}
trap cleanup EXIT
kubectl create namespace $SCRATCH > /dev/null
kubectl -n $SCRATCH create secret generic redis --from-literal=REDIS_URL="redis://redis.$NAMESPACE.svc.cluster.local:6379" > /dev/null

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=e2e -keyout "$secrets/tls.key" -out "$secrets/tls.crt" \
  -addext "subjectAltName=DNS:first-broker-ingress.$SCRATCH.svc.cluster.local,DNS:second-broker-ingress.$SCRATCH.svc.cluster.local" 2> /dev/null
kubectl -n $SCRATCH create secret tls ingress --cert="$secrets/tls.crt" --key="$secrets/tls.key" > /dev/null
kubectl -n $SCRATCH create configmap settings --from-literal=redis-secret=redis --from-literal=tls-secret=ingress \
  --from-file=ca-certs="$secrets/tls.crt" --from-literal=ingress-replicas=1 --from-literal=dispatcher-replicas=1 > /dev/null
for name in first second; do
  kubectl apply -f - > /dev/null << Y
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: $name, namespace: $SCRATCH, annotations: {eventing.knative.dev/broker.class: RedisStreams}}
spec: {config: {apiVersion: v1, kind: ConfigMap, name: settings, namespace: $SCRATCH}, delivery: {retry: 2}}
Y
done
address() { kubectl -n $SCRATCH get broker "$1" -o jsonpath='{.status.address.url}'; }
serves() { [[ "$(address "$1")" == $2://* ]] && is broker "$1" Ready 'True*'; }
for name in first second; do until_true 120 "Broker $name to be Ready by http" serves $name http; done
ok 'a certificate alone changes nothing' "$(address second)"

encryption strict
start=$(millis)
for name in first second; do until_true 120 "Broker $name to be Ready by https" serves $name https; done
ok 'the cluster turns strict: the address is https' "$(($(millis) - start)) ms, $(address second)"
kubectl apply -f - > /dev/null << Y
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: pass, namespace: $SCRATCH}
spec:
  broker: first
  subscriber: {ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: second}}
Y
until_true 60 'the Trigger to become Ready' is trigger pass Ready 'True*'
kubectl -n $SCRATCH port-forward service/first-broker-ingress 18443:443 > /dev/null 2>&1 &
host=first-broker-ingress.$SCRATCH.svc.cluster.local
secure() {
  curl -s -o /dev/null -w '%{http_code}\n' --max-time 10 --cacert "$secrets/tls.crt" --connect-to "$host:443:127.0.0.1:18443" \
    "https://$host/$SCRATCH/first" -H 'ce-specversion: 1.0' -H 'ce-type: a' -H "ce-id: $1" -H 'ce-source: /e2e' -H 'Content-Type: application/json' -d '{}'
}
taken() { [ "$(secure "$1")" = 202 ]; }
until_true 30 'the ingress to take an event by https' taken 0
for i in $(seq 9); do taken "$i" || die "event $i was refused"; done
arrived() { [ "$(redis XLEN "sweepline:{$SCRATCH/second/0}:history")" = 10 ]; }
until_true 60 'ten events to arrive' arrived
ok 'ten events went from Broker to Broker by https'
encryption "$before"
until_true 120 'the address to be http again' serves second http
ok "and back to $before" "$(address second)"
cleanup
trap - EXIT
redis --raw KEYS "sweepline:*$SCRATCH/*" | while read -r key; do redis UNLINK "$key" > /dev/null; done
