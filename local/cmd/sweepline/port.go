package main

import (
	"errors"
	"strconv"

	"github.com/spf13/pflag"
)

// port is the value of a flag that names a port.
type port int

// portVar adds a flag that takes a port.
func portVar(f *pflag.FlagSet, p *int, name string, value int, usage string) {
	*p = value
	f.Var((*port)(p), name, usage)
}

// Set takes a port.
func (p *port) Set(text string) error {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return errors.New("must be 0 to 65535")
	}
	*p = port(n)
	return nil
}

// String is the port.
func (p *port) String() string { return strconv.Itoa(int(*p)) }

// Type names the flag's value in help.
func (p *port) Type() string { return "int" }
