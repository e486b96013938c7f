package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// The roles that a database may have, each for logins to be members of. They are
// made by an administrator (see the README of jobstore). Where none of them is,
// one role does all.
const (
	// RoleStore writes, for all tenants: store and collect.
	RoleStore = "sweepline_store"
	// RoleSurvey reads, of all tenants: supervise and callback.
	RoleSurvey = "sweepline_survey"
	// RoleRead reads, of the tenant that a transaction names: api, dashboard and
	// notify.
	RoleRead = "sweepline_read"
)

// Logins are the names of logins, one in each role, that MakeRoles makes.
type Logins struct{ Store, Survey, Read string }

// MakeRoles makes the roles and a login in each, where they are not, as superuser of a
// server of one's own. The logins have no password: it is for a server that lets in who
// reaches it. Then the owner calls Roles.
func MakeRoles(ctx context.Context, superuser string) (Logins, error) {
	c, err := pgx.Connect(ctx, superuser)
	if err != nil {
		return Logins{}, fmt.Errorf("make roles: %w", classify(err))
	}
	defer func() { _ = c.Close(context.WithoutCancel(ctx)) }()
	login := func(role string) string { return role + "_login" }
	for _, role := range []string{RoleStore, RoleSurvey, RoleRead} {
		for name, how := range map[string]string{role: "", login(role): " login"} {
			_, err = c.Exec(ctx, fmt.Sprintf("do $$ begin create role %s%s; exception when duplicate_object or unique_violation then null; end $$", name, how))
			if err != nil {
				return Logins{}, fmt.Errorf("make role %s: %w", name, classify(err))
			}
		}
		if _, err = c.Exec(ctx, "grant "+role+" to "+login(role)); err != nil {
			return Logins{}, fmt.Errorf("make role %s: %w", role, classify(err))
		}
	}
	return Logins{login(RoleStore), login(RoleSurvey), login(RoleRead)}, nil
}

// Roles gives the roles that are there what they need, and takes from everybody
// but them and the tables' owner what is not for all. It returns the roles that it
// found. Migrate does so as well; it must be the owner who calls.
func (l *Store) Roles(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.BulkTimeout)
	defer cancel()
	var found []string
	err := pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) (err error) {
		found, err = grant(ctx, tx)
		return err
	})
	if err != nil {
		return nil, unusable(fmt.Errorf("grant roles: %w", err))
	}
	return found, nil
}

func grant(ctx context.Context, tx pgx.Tx) ([]string, error) {
	roles, err := texts(ctx, tx, "select rolname from pg_roles where rolname = any($1) order by rolname", []string{RoleStore, RoleSurvey, RoleRead})
	if err != nil || len(roles) == 0 {
		return nil, err
	}
	tables, err := texts(ctx, tx, "select tablename from pg_policies where schemaname = current_schema and policyname = 'tenant' order by tablename")
	if err != nil {
		return nil, err
	}
	writers, err := texts(ctx, tx, `select p.oid::regprocedure::text from pg_proc p
		where p.pronamespace = current_schema::regnamespace and p.proname ~ '^pipeline_(apply|collect)_v[0-9]+$' order by 1`)
	if err != nil {
		return nil, err
	}
	is := map[string]bool{}
	services := []string{"current_user"}
	for _, role := range roles {
		if is[role] = true; role != RoleRead {
			services = append(services, role)
		}
	}
	all := strings.Join(roles, ", ")
	var do []string
	for _, table := range tables {
		table = pgx.Identifier{table}.Sanitize()
		do = append(do,
			// Anybody may set a setting: that it is the service is true of its roles only.
			"alter policy tenant on "+table+" using (tenant_id = (select current_setting('sweepline.tenant', true)))",
			"drop policy if exists service on "+table,
			"create policy service on "+table+" to "+strings.Join(services, ", ")+
				" using ((select coalesce(current_setting('sweepline.scope', true) = 'service', false)))",
			"revoke all on "+table+" from public, "+all,
			"grant select on "+table+" to "+all)
		if is[RoleStore] {
			do = append(do, "grant insert, update, delete on "+table+" to "+RoleStore)
		}
	}
	do = append(do, "grant select on goose_db_version to "+all)
	for _, function := range writers {
		do = append(do, "revoke execute on function "+function+" from public, "+all)
		if is[RoleStore] {
			do = append(do, "grant execute on function "+function+" to "+RoleStore)
		}
	}
	for _, statement := range do {
		if _, err := tx.Exec(ctx, statement, pgx.QueryExecModeSimpleProtocol); err != nil {
			return nil, fmt.Errorf("%s: %w", statement, err)
		}
	}
	return roles, nil
}

func texts(ctx context.Context, tx pgx.Tx, sql string, args ...any) ([]string, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
