#!/bin/bash
# Hands one function to Knative's own func CLI:
#   func.sh run   FN [arguments]   runs it on this machine, without containers
#   func.sh build FN [arguments]   makes an OCI image of it, without containers
# func wants a go.mod beside the handler and takes nothing from outside that
# folder, so the function is staged first: .build/func/FN holds the module with
# shared/ and functions/, and a root package that is the function. K_SINK, which
# func does not set, goes through from the environment.
set -euo pipefail
cd "$(dirname "$0")/../.."
die() { echo "func.sh: $*" >&2; exit 1; }
[ $# -ge 2 ] || { sed -n '2,9s/^# \?//p' knative/scripts/func.sh >&2; exit 2; }
verb=$1 fn=$2
shift 2
[ -f "functions/$fn/func.yaml" ] || die "no function $fn (there are: $(cd functions && echo */func.yaml | sed 's#/func.yaml##g'))"
FUNC=${FUNC:-$PWD/.build/tools/func}
[ -x "$FUNC" ] || die "needs $FUNC: make func-tool"

root=.build/func/$fn
mkdir -p "$root"
# .func holds what the CLI knows of the last build, and stays.
find "$root" -mindepth 1 -maxdepth 1 ! -name .func -exec rm -rf {} +
cp go.mod go.sum "functions/$fn/func.yaml" "$root/"
tar -c --exclude='*_test.go' --exclude=testdata shared functions | tar -x -C "$root"
rm -rf "$root"/functions/cmd
# To func, a function without a date of birth was never made.
grep -q '^created:' "$root/func.yaml" || echo 'created: 2026-01-01T00:00:00Z' >> "$root/func.yaml"
cat > "$root/function.go" << GO
// Package function is functions/$fn as func wants it: at a module's root.
package function

import (
	"context"
	"log"

	"github.com/zixly/sweepline/functions/$fn"
)

// New makes the function from its environment.
func New() *$fn.Function {
	f, err := $fn.FromEnv(context.Background())
	if err != nil {
		log.Fatalf("Start $fn: %v", err)
	}
	return f
}
GO
cd "$root"
# The module's go.mod names more than this function needs, and tidying would ask
# for all of it: the builder may fill in what it finds missing.
export GOFLAGS=-mod=mod FUNC_ENABLE_HOST_BUILDER=1
case $verb in
  run) exec "$FUNC" run --builder=host --registry=dev.local ${K_SINK:+-e K_SINK="$K_SINK"} "$@" ;;
  build) exec "$FUNC" build --builder=host --registry="${REGISTRY:-dev.local}" "$@" ;;
  *) die "run or build, not $verb" ;;
esac
