package main

import (
	"fmt"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitDone      = 0
	exitFailed    = 1
	exitUsage     = 2
	exitJobFailed = 3
	// exitSignal and a signal's number: interrupted by it, as shells tell it.
	exitSignal = 128
)

// exitCodes are what scripts may go by.
var exitCodes = []struct {
	code    int
	meaning string
}{
	{exitDone, "Success."},
	{exitFailed, "Failure: something was refused, missing, or did not answer, or the output could not be written."},
	{exitUsage, "Invalid usage: a command, flag, argument or value that is not valid."},
	{exitJobFailed, "The job that was watched ended FAILED or CANCELLED."},
	{exitSignal + int(syscall.SIGHUP), "Ended by SIGHUP, as where the terminal is closed. A job that was watched goes on; nohup prevents it."},
	{exitSignal + int(syscall.SIGINT), "Interrupted by Ctrl-C. A job that was watched goes on."},
	{exitSignal + int(syscall.SIGPIPE), "Ended by SIGPIPE: what read the output has gone, as head once it has its lines."},
	{exitSignal + int(syscall.SIGTERM), "Ended by SIGTERM."},
}

// newExitCodes is a topic of help.
func newExitCodes() *cobra.Command {
	var b strings.Builder
	b.WriteString("What sweepline's exit codes mean:\n\n")
	for _, e := range exitCodes {
		fmt.Fprintf(&b, "  %3d  %s\n", e.code, e.meaning)
	}
	b.WriteString("\nsweepline up ends with 0 where Ctrl-C or SIGTERM ends it.")
	return &cobra.Command{Use: "exit-codes", Short: "What exit codes mean", Long: b.String()}
}
