//go:build tools

// Package tools pins the programs that make uses, apart from the module's own
// dependencies.
package tools

import (
	_ "github.com/golangci/golangci-lint/v2/cmd/golangci-lint"
	_ "gotest.tools/gotestsum"
)
