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

Commands that look and act talk to a running sweepline: that of --server, of --context,
of $SWEEPLINE_URL with $SWEEPLINE_KEY, of the current context ('sweepline context'), or
http://localhost:8080. Exit codes are in 'sweepline help exit-codes'.`,
		Version:       versionText(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	addTargetFlags(root)
	root.AddGroup(&cobra.Group{ID: "run", Title: "Run:"}, &cobra.Group{ID: "jobs", Title: "Jobs:"}, &cobra.Group{ID: "mend", Title: "Repair:"})
	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("run", newUp(), newBroker(), newSimulator(), newMigrate(), newBench(), newTemplates(), newScheduleToken(), newNotifyKey(), newContext())
	add("jobs", newSubmit(), newJobs(), newJob(), newWatch(), newCancel(), newRetry(), newResults(), newMap(), newOpen())
	add("mend", newTriggers(), newPause(), newResume(), newDeadLetters(), newRedrive(), newDiscard(), newReplay(), newDrained(), newLeftovers())
	root.AddCommand(newVersion(), newExitCodes())
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	strictHelp(root)
	note(root, started)
	return root
}

// strictHelp makes help of a command that does not exist an error.
func strictHelp(root *cobra.Command) {
	for _, c := range root.Commands() {
		if c.Name() != "help" {
			continue
		}
		c.Run, c.RunE = nil, func(_ *cobra.Command, args []string) error {
			of, rest, err := root.Find(args)
			if err != nil {
				return usageError{err}
			}
			if len(rest) > 0 && of.HasSubCommands() {
				return usagef("unknown command %q for %q", rest[0], of.CommandPath())
			}
			of.InitDefaultHelpFlag()
			of.InitDefaultVersionFlag()
			return of.Help()
		}
	}
}

// note makes every command say that its own code runs: only then have its
// arguments and flags been found in order. A command that has others below it and does
// nothing itself shows its help, and refuses what is none of them.
func note(cmd *cobra.Command, started *bool) {
	if cmd.HasSubCommands() && !cmd.Runnable() && cmd.HasParent() {
		cmd.Args, cmd.RunE = cobra.NoArgs, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			*started = true
			if err := refuseTarget(cmd); err != nil {
				return err
			}
			if err := refuseEmpty(cmd, args); err != nil {
				return err
			}
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
	if err != nil || c.Name() == "help" {
		return root.Name()
	}
	return c.CommandPath()
}
