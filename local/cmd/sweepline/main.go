// Command sweepline is the one binary for people: it runs the whole pipeline
// on a laptop, sends sweeps, and shows and mends what is going on.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/zixly/sweepline/shared/build"
	"github.com/zixly/sweepline/shared/memory"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	memory.Bound()
	if version != unnamed {
		build.Named = version
	}
	started := false
	cmd := newRoot(&started)
	err := cmd.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case !started || errors.As(err, &usage):
		// cobra found the fault in the command line before any command ran.
		fmt.Fprintf(os.Stderr, "sweepline: %s\nSee '%s --help'.\n", printable(err.Error()), commandOf(cmd)) // names that a server told, too
		return exitUsage
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return exitFailed
	default:
		fmt.Fprintf(os.Stderr, "sweepline: %s\n", printable(advised(err))) // it may hold what a server said
		return exitFailed
	}
}

// usageError is a fault in what the user typed.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }
