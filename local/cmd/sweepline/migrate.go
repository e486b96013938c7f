package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/jobstore/postgres"
)

func newMigrate() *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring PostgreSQL's schema up to date",
		Long:  "Migrations are part of the binary. They are applied to $DATABASE_URL, one process at a time.",
	}
	cmd.AddCommand(
		&cobra.Command{
			Use: "up", Short: "Apply what is missing", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return migrations(cmd, o.isJSON(), func(l *postgres.Store) ([]jobstore.Migration, error) { return l.Migrate(cmd.Context()) })
			},
		},
		&cobra.Command{
			Use: "status", Short: "Show what is applied", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return migrations(cmd, o.isJSON(), func(l *postgres.Store) ([]jobstore.Migration, error) { return l.Status(cmd.Context()) })
			},
		},
		&cobra.Command{
			Use: "roles", Short: "Give the roles " + strings.Join(postgres.Roles(), ", ") + " what they need", Args: cobra.NoArgs,
			Long: "Where these roles are in the server, logins that are their members can do what their functions need and nothing else.\n" +
				"$DATABASE_READ_KEY (and $DATABASE_READ_KEY_OLD, while keys rotate) is from then on what seals the tenants that\n" +
				postgres.RoleSealed + " reads. `migrate up` does the same. $DATABASE_URL must be of the tables' owner.",
			RunE: func(cmd *cobra.Command, _ []string) error {
				l, err := openForMigration(cmd)
				if err != nil {
					return err
				}
				defer func() { _ = l.Close() }()
				found, err := l.Roles(cmd.Context())
				if err != nil {
					return err
				}
				if o.isJSON() {
					return printJSON(cmd.OutOrStdout(), append([]string{}, found...))
				}
				if len(found) == 0 {
					fmt.Fprintln(cmd.OutOrStdout(), "None of these roles is there: one role does all.")
				}
				for _, role := range found {
					fmt.Fprintln(cmd.OutOrStdout(), role)
				}
				return nil
			},
		},
	)
	for _, sub := range cmd.Commands() {
		o.flags(sub, formTable, formJSON)
	}
	return cmd
}

func openForMigration(cmd *cobra.Command) (*postgres.Store, error) {
	var cfg postgres.Config
	if err := function.Load(&cfg); err != nil {
		return nil, usagef("%w (DATABASE_URL names the PostgreSQL: postgres://user@host/database)", err)
	}
	return postgres.Open(cmd.Context(), cfg)
}

func migrations(cmd *cobra.Command, asJSON bool, do func(*postgres.Store) ([]jobstore.Migration, error)) error {
	l, err := openForMigration(cmd)
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
