// Command sweepline is the one binary for people: it runs the whole pipeline
// on a laptop, sends sweeps, and shows and mends what is going on.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/zixly/sweepline/shared/build"
	api "github.com/zixly/sweepline/shared/client"
	"github.com/zixly/sweepline/shared/memory"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := untilSignal(context.Background())
	defer stop()
	memory.Bound()
	if version != unnamed {
		build.Named = version
	}
	started := false
	cmd, out := newRoot(&started), &stdout{file: os.Stdout}
	cmd.SetOut(out)
	ran, err := cmd.ExecuteContextC(ctx)
	code := exitCode(ctx, err, started)
	if failed := out.failed(); failed != nil && code < exitSignal {
		code = exitFailed // what was asked for is not there, whatever else is so
		if !errors.Is(err, failed) {
			err = errors.Join(err, failed)
		}
	}
	switch {
	case err == nil, code > exitSignal: // who has interrupted it knows
	case code == exitUsage:
		fmt.Fprintf(os.Stderr, "sweepline: %s\nSee '%s --help'.\n", printable(err.Error()), commandOf(cmd))
	default:
		fmt.Fprintf(os.Stderr, "sweepline: %s\n", printable(advised(ran, err))) // it may hold what a server said
	}
	return code
}

// exitCode is what err means to a script; see newExitCodes.
func exitCode(ctx context.Context, err error, started bool) int {
	interrupted, isInterrupted := errors.AsType[interruption](context.Cause(ctx))
	var usage usageError
	var failed jobFailedError
	refused, isRefused := errors.AsType[*api.Error](err)
	switch {
	case err == nil:
		return exitDone
	case isInterrupted && errors.Is(err, context.Canceled):
		return exitSignal + int(interrupted.signal)
	case !started, errors.As(err, &usage), isRefused && refused.Status == http.StatusBadRequest:
		return exitUsage // before a command has started, cobra found the fault in the command line
	case errors.As(err, &failed):
		return exitJobFailed
	default:
		return exitFailed
	}
}

// interruption is why the command's context ended: somebody sent a signal.
type interruption struct{ signal syscall.Signal }

func (i interruption) Error() string { return i.signal.String() }

// Is makes it a context.Canceled, as calls that it ended are told.
func (i interruption) Is(target error) bool { return target == context.Canceled }

// untilSignal gives a context that Ctrl-C or SIGTERM ends; the cause is an interruption.
// A second signal ends the process.
func untilSignal(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals) // the next one ends the process at once
			number, _ := s.(syscall.Signal)
			cancel(interruption{number})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}

// usageError is a fault in what the user typed.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// jobFailedError says that the job which was waited for has failed, or was cancelled.
type jobFailedError struct{ error }

func (f jobFailedError) Unwrap() error { return f.error }
