#!/bin/bash
# Tries what is deployed on a real cluster, with kubectl as it is set up:
#   e2e.sh [pipeline] [broker] [class] [tls] [chaos] [rollout]     all of them if none is named
# Variables:
#   NAMESPACE  where the pipeline runs (sweepline)
#   GATEWAY    host:port through which Knative Services are reached; found for
#              Kourier and Traefik
#   JOBS       how many the chaos story sends (50)
#   TENANT_KEY sent as bearer token, where the pipeline has tenants
# Each story makes a namespace sweepline-e2e-… and removes it at the end.
set -euo pipefail
cd "$(dirname "$0")/e2e"
. ./lib.sh
need kubectl curl jq
stories=("$@")
[ $# -gt 0 ] || stories=(pipeline broker class tls chaos rollout)
for story in "${stories[@]}"; do
  [ -f "$story.sh" ] || die "no story $story"
done
for story in "${stories[@]}"; do
  case $story in
    # These need nothing but Eventing, the class, and Redis, which they look into.
    broker | class | tls)
      kubectl -n "$NAMESPACE" get pod redis-0 > /dev/null || die "story $story needs Redis in the pod redis-0 of $NAMESPACE, as the overlay kind has it" ;;
    *)
      kubectl -n "$NAMESPACE" get ksvc receive > /dev/null || die "no pipeline in the namespace $NAMESPACE: deploy one first (make kind-deploy, make deploy)"
      find_gateway ;;
  esac
done
for story in "${stories[@]}"; do
  echo "== $story"
  SCRATCH=sweepline-e2e-$story-$$ # that of the one before may still be going
  . "./$story.sh"
done
echo "all good in ${SECONDS}s"
