package main

import (
	"github.com/spf13/cobra"

	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/jobstore/postgres"
)

func newMigrate() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring PostgreSQL's schema up to date",
		Long:  "Migrations are part of the binary. They are applied to $DATABASE_URL, one process at a time.",
	}
	cmd.AddCommand(
		&cobra.Command{
			Use: "up", Short: "Apply what is missing", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return migrations(cmd, asJSON, func(l *postgres.Store) ([]jobstore.Migration, error) { return l.Migrate(cmd.Context()) })
			},
		},
		&cobra.Command{
			Use: "status", Short: "Show what is applied", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return migrations(cmd, asJSON, func(l *postgres.Store) ([]jobstore.Migration, error) { return l.Status(cmd.Context()) })
			},
		},
	)
	cmd.PersistentFlags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func migrations(cmd *cobra.Command, asJSON bool, do func(*postgres.Store) ([]jobstore.Migration, error)) error {
	var cfg postgres.Config
	if err := function.Load(&cfg); err != nil {
		return usagef("%w (DATABASE_URL names the PostgreSQL: postgres://user@host/database)", err)
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
	states := map[string]string{}
	g := newGrid(cmd.OutOrStdout(), "migration", "state")
	for _, m := range list {
		state := "missing"
		if !m.AppliedAt.IsZero() {
			state = "applied"
		}
		states[m.Name] = state
		g.add(m.Name, state)
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), states)
	}
	g.print()
	return nil
}
