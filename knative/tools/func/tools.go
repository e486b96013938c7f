//go:build tools

// Package tools pins Knative's func CLI, in a version that can be built from
// modules alone.
package tools

import _ "knative.dev/func/cmd/func"
