package main

import (
	"io"
	"strings"
	"sync"

	"github.com/zixly/sweepline/shared/function"
)

// terminalConfig is what the environment says of the terminal.
type terminalConfig struct {
	// NoColour turns colours off where it is not empty (no-color.org).
	NoColour string `envconfig:"NO_COLOR"`
	// Term is the terminal's kind: without one, or with dumb, there are no colours; with
	// 256color in its name there are 256.
	Term string `envconfig:"TERM"`
	// Colours is truecolor or 24bit where the terminal has all colours.
	Colours string `envconfig:"COLORTERM"`
}

var terminal = sync.OnceValue(func() (c terminalConfig) {
	if function.Load(&c) != nil {
		return terminalConfig{}
	}
	return c
})

// plainTerminal says that no colours are wanted, or none are possible.
func plainTerminal() bool {
	c := terminal()
	return c.NoColour != "" || c.Term == "dumb" || c.Term == ""
}

// palette is how many colours can be shown.
type palette int

const (
	noColours palette = iota
	colours256
	trueColours
)

// coloursOf are the colours that w can show, of those that a map is drawn in.
func coloursOf(w io.Writer) palette {
	c := terminal()
	switch _, shown := terminalWidth(w); {
	case !shown || plainTerminal():
		return noColours
	case c.Colours == "truecolor" || c.Colours == "24bit":
		return trueColours
	case strings.Contains(c.Term, "256color"):
		return colours256
	}
	return noColours
}
