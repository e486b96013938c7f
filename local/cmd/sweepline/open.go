package main

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/transport"
)

// displayConfig is what the environment says of a place to show pages in.
type displayConfig struct {
	// Browser is the program that shows pages, for xdg-open.
	Browser string `envconfig:"BROWSER"`
	// XDisplay is the display of X. Without it, WAYLAND_DISPLAY and BROWSER no page is
	// opened on Linux.
	XDisplay string `envconfig:"DISPLAY"`
	// WaylandDisplay is the display of Wayland.
	WaylandDisplay string `envconfig:"WAYLAND_DISPLAY"`
}

func newOpen() *cobra.Command {
	var only bool
	cmd := remote(&cobra.Command{
		Use:   "open [ID]",
		Short: "Open a job's page in the browser, or the list of jobs",
		Long: `Opens a job's page, or the list of jobs, with xdg-open, open or rundll32. Where there
is no browser to open, it prints the address.`,
		Args: cobra.MaximumNArgs(1),

		ValidArgsFunction: completeJobs("", false),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient(cmd)
			if err != nil {
				return err
			}
			page := withoutUser(c.Base()) + "/"
			if len(args) > 0 {
				id, err := jobID(cmd, c, args[0])
				if err != nil {
					return err
				}
				page += "jobs/" + id
			}
			if !only {
				if program := browser(runtime.GOOS); program != nil {
					fmt.Fprintf(cmd.ErrOrStderr(), "Opening %s\n", page)
					err := start(cmd.Context(), append(program, page))
					if err == nil || cmd.Context().Err() != nil {
						return err
					}
					fmt.Fprintln(cmd.ErrOrStderr(), "The browser could not be started.")
				}
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), page)
			return err
		},
	})
	cmd.Flags().BoolVar(&only, "print", false, "print the address, and open nothing")
	return cmd
}

// browser is the command that opens an address, nil where there is none.
func browser(system string) []string {
	var program []string
	switch system {
	case "darwin":
		program = []string{"open"}
	case "windows":
		program = []string{"rundll32", "url.dll,FileProtocolHandler"}
	default:
		var d displayConfig
		if function.Load(&d) != nil || d.Browser+d.XDisplay+d.WaylandDisplay == "" {
			return nil // a browser in the terminal would take it over
		}
		program = []string{"xdg-open"}
	}
	if _, err := exec.LookPath(program[0]); err != nil {
		return nil
	}
	return program
}

// withoutUser is an address without a user and a password: others can read the arguments
// of a program, and the browser asks for them.
func withoutUser(base string) string {
	u, err := transport.ParseURL(base)
	if err != nil {
		return base
	}
	u.User = nil
	return u.String()
}

// refusal is how long a program that hands an address over may take to fail. One that runs
// longer is the browser itself, which is not waited for.
const refusal = 3 * time.Second

// start runs a program that hands an address over. It outlives ctx.
func start(ctx context.Context, words []string) error {
	program := exec.CommandContext(context.WithoutCancel(ctx), words[0], words[1:]...)
	if err := program.Start(); err != nil {
		return fmt.Errorf("start %s: %w", words[0], err)
	}
	ended := make(chan error, 1)
	go func() { ended <- program.Wait() }()
	timer := time.NewTimer(refusal)
	defer timer.Stop()
	select {
	case err := <-ended:
		if err != nil {
			return fmt.Errorf("start %s: %w", words[0], err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
