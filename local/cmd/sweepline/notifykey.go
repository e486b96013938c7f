package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/notifyurl"
)

func newNotifyKey() *cobra.Command {
	return &cobra.Command{
		Use:   "notify-key TENANT",
		Short: "Show the key by which a tenant's receivers verify calls at a job's end",
		Long: `Shows the key that signs calls of a notify_url for a tenant, as libraries of Standard
Webhooks take it. It is made of $NOTIFY_URL_SECRET, as notify has it.`,
		Example: "  NOTIFY_URL_SECRET=... sweepline notify-key acme",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var cfg struct {
				// Secret is what keys are made of, as notify has it.
				Secret string `envconfig:"NOTIFY_URL_SECRET" required:"nonempty"`
			}
			if err := function.Load(&cfg); err != nil {
				return usageError{err}
			}
			keys, err := notifyurl.NewKeys(cfg.Secret, "")
			if err != nil {
				return usageError{err}
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), keys.Of(args[0]))
			return err
		},
	}
}
