package main

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/zixly/sweepline/shared/function"
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

		ValidArgsFunction: completeJobs(""),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient(cmd)
			if err != nil {
				return err
			}
			page := c.Base() + "/"
			if len(args) > 0 {
				id, err := jobID(cmd.Context(), c, args[0])
				if err != nil {
					return err
				}
				page += "jobs/" + id
			}
			if !only {
				if program := browser(runtime.GOOS); program != nil {
					fmt.Fprintf(cmd.ErrOrStderr(), "Opening %s\n", page)
					if err := start(cmd.Context(), append(program, page)); err == nil {
						return nil
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

// start runs a program that hands an address over, to its end.
func start(ctx context.Context, words []string) error {
	if err := exec.CommandContext(ctx, words[0], words[1:]...).Run(); err != nil {
		return fmt.Errorf("start %s: %w", words[0], err)
	}
	return nil
}
