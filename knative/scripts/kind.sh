#!/bin/bash
# The pipeline on a kind cluster:
#   kind.sh up       cluster, Knative Serving with Kourier, Knative Eventing
#   kind.sh deploy   images by ko into the cluster, then knative/config/overlays/kind
#   kind.sh demo     one sweep through the gateway at localhost:8080
#   kind.sh down     removes the cluster
set -euo pipefail
cd "$(dirname "$0")/../.."
SERVING=${SERVING:-v1.23.0}
EVENTING=${EVENTING:-v1.23.0}
export KIND_CLUSTER_NAME=sweepline
CONTEXT=kind-$KIND_CLUSTER_NAME

die() { echo "kind.sh: $*" >&2; exit 1; }
need() {
  local missing=()
  for tool; do command -v "$tool" > /dev/null || missing+=("$tool"); done
  [ ${#missing[@]} -eq 0 ] || die "needs ${missing[*]} on the PATH"
}
k() { kubectl --context "$CONTEXT" "$@"; }
there() { kind get clusters 2> /dev/null | grep -qx "$KIND_CLUSTER_NAME"; }

up() {
  need docker kind kubectl
  docker info > /dev/null 2>&1 || die 'docker is installed, but its engine does not answer'
  there || kind create cluster --config kind-config.yaml
  local serving=https://github.com/knative/serving/releases/download/knative-$SERVING
  local eventing=https://github.com/knative/eventing/releases/download/knative-$EVENTING
  k apply -f "$serving/serving-crds.yaml" -f "$eventing/eventing-crds.yaml"
  k wait crd --all --for=condition=Established --timeout=60s > /dev/null
  k apply -f "$serving/serving-core.yaml" -f "$eventing/eventing-core.yaml" \
    -f "https://github.com/knative-extensions/net-kourier/releases/download/knative-$SERVING/kourier.yaml"
  k -n knative-serving patch configmap config-network --type=merge \
    -p '{"data":{"ingress-class":"kourier.ingress.networking.knative.dev"}}'
  k -n knative-serving patch configmap config-domain --type=merge -p '{"data":{"127.0.0.1.sslip.io":""}}'
  # The port that kind-config.yaml publishes.
  k -n kourier-system patch service kourier --type=merge \
    -p '{"spec":{"type":"NodePort","ports":[{"name":"http2","port":80,"targetPort":8080,"nodePort":31080}]}}'
  for ns in knative-serving knative-eventing kourier-system; do
    k -n $ns wait deploy --all --for=condition=Available --timeout=300s
  done
}

# on COMMAND… runs it with kubectl set up for this cluster, and for it alone: what
# your kubeconfig says stays as it is.
on() {
  there || die 'there is no cluster: make kind-up'
  local config
  config=$(mktemp)
  # shellcheck disable=SC2064 # the file's name is fixed now
  trap "rm -f $config" EXIT
  kind get kubeconfig > "$config"
  KUBECONFIG=$config "$@"
}

deploy() {
  need docker kind kubectl
  [ -x "${KO:-}" ] || die 'needs ko: make kind-deploy builds it'
  # kind.local: ko loads the images into the cluster's node.
  KO_DOCKER_REPO=kind.local on knative/scripts/deploy.sh apply
}

demo() {
  need kind kubectl curl jq
  GATEWAY=${GATEWAY:-127.0.0.1:8080} on knative/scripts/deploy.sh demo
}

down() {
  need kind
  kind delete cluster
}

case ${1:-} in
  up | deploy | demo | down) "$1" ;;
  *) sed -n "2,6s/^# \\?//p" knative/scripts/kind.sh >&2; exit 2 ;;
esac
