package main

import (
	"sync"

	"github.com/zixly/sweepline/shared/function"
)

// terminalConfig is what the environment says of the terminal.
type terminalConfig struct {
	// NoColour turns colours off where it is not empty (no-color.org).
	NoColour string `envconfig:"NO_COLOR"`
	// Term is the terminal's kind: without one, or with dumb, there are no colours.
	Term string `envconfig:"TERM"`
}

// plainTerminal says that no colours are wanted, or none are possible.
var plainTerminal = sync.OnceValue(func() bool {
	var c terminalConfig
	return function.Load(&c) != nil || c.NoColour != "" || c.Term == "dumb" || c.Term == ""
})
