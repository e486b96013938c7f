//go:build tools

// Package tools pins the programs that make and tests use, apart from the module's own
// dependencies.
package tools

import (
	_ "github.com/cloudevents/conformance/cmd/cloudevents"
	_ "github.com/golangci/golangci-lint/v2/cmd/golangci-lint"
	_ "gotest.tools/gotestsum"
)
