#!/bin/bash
# The images of others that are named by tag and digest, in manifests, local/compose.yaml
# and .ko.yaml:
#   digests.sh           says which tags have moved on: exit 1 if one has
#   digests.sh --write   takes up what they are now
# CRANE is the tool that asks their registries (make digests builds it).
set -euo pipefail
cd "$(dirname "$0")/../.."
CRANE=${CRANE:-crane}
command -v "$CRANE" > /dev/null || { echo "digests.sh: needs $CRANE" >&2; exit 1; }
case ${1:-} in '' | --write) ;; *) sed -n '2,/^set/{/^#/s/^# \?//p}' knative/scripts/digests.sh >&2; exit 2 ;; esac
mapfile -t files < <(find knative/config local/compose.yaml .ko.yaml -name '*.yaml')
moved=0
for image in $(grep -hoE '[^ ]+@sha256:[0-9a-f]{64}' "${files[@]}" | sort -u); do
  tag=${image%@*} digest=${image#*@}
  now=$("$CRANE" digest "$tag")
  if [ "$now" = "$digest" ]; then
    echo "$tag: as it is here"
  elif [ "${1:-}" = --write ]; then
    sed -i "s|$image|$tag@$now|" "${files[@]}"
    echo "$tag: now $now"
  else
    moved=1
    echo "$tag: here $digest, there $now"
  fi
done
exit $moved
