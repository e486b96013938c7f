package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/enqueue"
	"github.com/zixly/sweepline/shared/function"
)

func newScheduleToken() *cobra.Command {
	var tenant string
	cmd := &cobra.Command{
		Use:   "schedule-token NAMESPACE/NAME",
		Short: "Make the token with which a PingSource asks for a tenant's sweeps",
		Long: `Makes the token that a PingSource on a cluster needs where tenants have keys: it can
send none. It is signed by $SCHEDULE_SECRET, as receive has it, and is for the one
PingSource. It belongs into its manifest as the extension attribute scheduletoken.`,
		Example: "  SCHEDULE_SECRET=... sweepline schedule-token sweepline/weekly --tenant acme",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var cfg struct {
				// Secret signs the token, as receive has it.
				Secret string `envconfig:"SCHEDULE_SECRET"`
			}
			if err := function.Load(&cfg); err != nil {
				return usageError{err}
			}
			namespace, name, ok := strings.Cut(args[0], "/")
			if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
				return usagef("name the PingSource by its namespace and name, as sweepline/weekly")
			}
			schedules, err := auth.NewSchedules(cfg.Secret)
			if err != nil {
				return usageError{err}
			}
			token, err := schedules.Token(tenant, enqueue.PingSource(namespace, name))
			if err != nil {
				return usageError{err}
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
			return err
		},
	}
	cmd.Flags().StringVar(&tenant, "tenant", "", "whose sweeps it asks for")
	_ = cmd.MarkFlagRequired("tenant")
	return cmd
}
