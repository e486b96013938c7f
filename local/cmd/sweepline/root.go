package main

import (
	"os"

	"github.com/spf13/cobra"
)

// newRoot builds the command tree. *started becomes true once a command's own
// code runs: an error before that is a fault in the command line.
func newRoot(started *bool) *cobra.Command {
	root := &cobra.Command{
		Use:   "sweepline",
		Short: "Run strategy parameter sweeps and never lose one",
		Long: `sweepline takes a strategy parameter sweep in one HTTP call, runs it at the
trading API, keeps the results and tells you when it is done.

Start with:  sweepline up --demo
Commands that look and act talk to a running sweepline at $SWEEPLINE_URL
(default http://localhost:8080), with $SWEEPLINE_KEY where tenants have keys.`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddGroup(&cobra.Group{ID: "run", Title: "Run:"}, &cobra.Group{ID: "jobs", Title: "Jobs:"}, &cobra.Group{ID: "mend", Title: "Repair:"})
	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("run", newUp(), newBroker(), newSimulator(), newMigrate(), newBench(), newTemplates(), newScheduleToken())
	add("jobs", newSubmit(), newJobs(), newJob(), newWatch(), newCancel(), newRetry(), newResults())
	add("mend", newDeadLetters(), newRedrive(), newDiscard(), newReplay(), newDrained(), newLeftovers())
	root.AddCommand(newVersion())
	note(root, started)
	return root
}

// note makes every command say that its own code runs: only then have its
// arguments and flags been found in order.
func note(cmd *cobra.Command, started *bool) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			*started = true
			return run(cmd, args)
		}
	}
	for _, sub := range cmd.Commands() {
		note(sub, started)
	}
}

// commandOf names the command that the arguments meant, for the hint at help.
func commandOf(root *cobra.Command) string {
	c, _, err := root.Find(os.Args[1:])
	if err != nil {
		return root.Name()
	}
	return c.CommandPath()
}
