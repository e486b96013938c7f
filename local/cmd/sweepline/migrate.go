package main

import (
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/kelseyhightower/envconfig"
	"github.com/spf13/cobra"

	"github.com/zixly/sweepline/shared/ledger"
	"github.com/zixly/sweepline/shared/ledger/postgres"
)

func newMigrate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring PostgreSQL's schema up to date",
		Long:  "Migrations are part of the binary. They are applied to $DATABASE_URL, one process at a time.",
	}
	cmd.AddCommand(
		&cobra.Command{
			Use: "up", Short: "Apply what is missing", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return migrations(cmd, func(l *postgres.Ledger) ([]ledger.Migration, error) { return l.Migrate(cmd.Context()) })
			},
		},
		&cobra.Command{
			Use: "status", Short: "Show what is applied", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return migrations(cmd, func(l *postgres.Ledger) ([]ledger.Migration, error) { return l.Status(cmd.Context()) })
			},
		},
	)
	return cmd
}

func migrations(cmd *cobra.Command, do func(*postgres.Ledger) ([]ledger.Migration, error)) error {
	var cfg postgres.Config
	if err := envconfig.Process("", &cfg); err != nil {
		return usagef("DATABASE_URL is not set: name the PostgreSQL, as postgres://user@host/database")
	}
	l, err := postgres.Open(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	list, err := do(l)
	if err != nil {
		return err
	}
	t := newTable(cmd.OutOrStdout())
	t.AppendHeader(table.Row{"migration", "state"})
	for _, m := range list {
		state := "missing"
		if !m.AppliedAt.IsZero() {
			state = "applied"
		}
		t.AppendRow(table.Row{m.Name, state})
	}
	t.Render()
	return nil
}
