#!/bin/bash
# An overlay on the cluster that kubectl is set up for:
#   deploy.sh apply   images by ko, then knative/config/overlays/$OVERLAY, until all of it is Ready
#   deploy.sh demo    one sweep through the gateway
# Variables:
#   KO_DOCKER_REPO  where images go: a registry that the cluster pulls from. Required by apply
#   OVERLAY         kind (all inside: Redis, PostgreSQL, the trading API's simulator)
#   KO              ko (the one on the PATH)
#   KO_FLAGS        more flags of "ko resolve"
#   GATEWAY         host:port of Knative's gateway, as in e2e.sh
set -euo pipefail
cd "$(dirname "$0")/e2e"
. ./lib.sh
cd ../../..
OVERLAY=${OVERLAY:-kind}

# there WHAT KIND… wants the cluster to know the kinds.
there() {
  local what=$1
  shift
  kubectl get crd "$@" > /dev/null || die "the cluster has no $what: install it first"
}

apply() {
  need kubectl "${KO:=ko}"
  [ -n "${KO_DOCKER_REPO:-}" ] || die 'say where images go (REGISTRY of make, KO_DOCKER_REPO): a registry that the cluster pulls from'
  [ -d "knative/config/overlays/$OVERLAY" ] || die "no overlay $OVERLAY"
  kubectl get --raw /version > /dev/null || die 'kubectl reaches no cluster'
  there 'Knative Serving' services.serving.knative.dev
  there 'Knative Eventing' brokers.eventing.knative.dev triggers.eventing.knative.dev
  local release
  release=$(mktemp)
  # shellcheck disable=SC2064,SC2086 # the file's name is fixed now; flags are words
  {
    trap "rm -f $release" EXIT
    kubectl kustomize "knative/config/overlays/$OVERLAY" | "$KO" resolve --base-import-paths --sbom=none ${KO_FLAGS:-} -f - > "$release"
  }
  kubectl apply --server-side --force-conflicts -f "$release"
  kubectl -n "$NAMESPACE" wait broker "$BROKER" --for=condition=Ready --timeout=300s
  kubectl -n "$NAMESPACE" wait ksvc --all --for=condition=Ready --timeout=300s
  kubectl -n "$NAMESPACE" wait trigger --all --for=condition=Ready --timeout=120s
}

demo() {
  need kubectl curl jq
  find_gateway
  local job
  job=$(sweep demo)
  echo "Job $job"
  until_true 120 'the job to complete' completed "$job"
  call api "/webhook/jobs/$job" |
    jq -r '"\(.ticker): \(.status) in \(.duration_seconds) s", (.results[:5][] | "  \(.strategy_type) \(.fast_period)/\(.slow_period)  score \(.score)  return \(.total_return_pct)%")'
  local url
  url=$(kubectl -n "$NAMESPACE" get ksvc dashboard -o jsonpath='{.status.url}')
  [ "${GATEWAY##*:}" = 80 ] || url=$url:${GATEWAY##*:}
  echo "Dashboard: $url/ (its host leads to the gateway, $GATEWAY)"
}

case ${1:-} in
  apply | demo) "$1" ;;
  *) sed -n '2,/^set/{/^#/s/^# \?//p}' knative/scripts/deploy.sh >&2; exit 2 ;;
esac
