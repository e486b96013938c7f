#!/bin/bash
# What is applied to a cluster, with every image by its digest:
#   release.sh DIR…   builds and pushes the images of knative/config/DIR… by ko, and
#                     writes .build/release/NAME.yaml for each
# Variables:
#   KO_DOCKER_REPO  where images go: a registry that the cluster pulls from
#   KO, PLATFORM, VERSION   ko, the images' platforms (linux/amd64), their tag (none)
set -euo pipefail
cd "$(dirname "$0")/../.."
die() { echo "release.sh: $*" >&2; exit 1; }
[ $# -gt 0 ] || { sed -n '2,/^set/{/^#/s/^# \?//p}' knative/scripts/release.sh >&2; exit 2; }
command -v kubectl "${KO:=ko}" > /dev/null || die "needs kubectl and $KO"
[ -n "${KO_DOCKER_REPO:-}" ] || die 'say where images go: REGISTRY of make, KO_DOCKER_REPO'

# loose FILE prints the images in it that are not pinned.
loose() {
  awk '/^ *(- )?image:/ {print $NF} named && /^ *value:/ {print $NF} {named = /name: BROKER_IMAGE$/}' "$1" |
    grep -vE '@sha256:[0-9a-f]{64}$' || true
}

mkdir -p .build/release
for dir; do
  file=.build/release/$(basename "$dir").yaml
  kubectl kustomize "knative/config/$dir" |
    "$KO" resolve --base-import-paths --sbom=spdx --platform="${PLATFORM:-linux/amd64}" ${VERSION:+--tags="$VERSION"} -f - > "$file.part"
  unpinned=$(loose "$file.part")
  [ -z "$unpinned" ] || die "$dir: not by digest: $unpinned"
  mv "$file.part" "$file"
  echo "$file"
done
