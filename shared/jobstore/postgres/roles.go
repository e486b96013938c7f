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
	// RoleSealed reads, of the tenant that a transaction names and has the seal of:
	// api, dashboard and notify. It needs a key (Config.ReadKey).
	RoleSealed = "sweepline_sealed"
	// RoleRead reads, of the tenant that a transaction names: people, and what stood
	// in RoleSealed's place before.
	RoleRead = "sweepline_read"
)

// Roles are all of them, in the order of their names.
func Roles() []string { return []string{RoleRead, RoleSealed, RoleStore, RoleSurvey} }

// Logins are the names of logins, one in each role of functions, that MakeRoles makes.
type Logins struct{ Store, Survey, Sealed string }

// largeObjects are the ways in which everybody may store something in a database of
// PostgreSQL, whatever tables they may write.
const largeObjects = "lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea)"

// MakeRoles makes the roles and a login in each, where they are not, as superuser of a
// server of one's own, and takes from everybody what only a superuser can take. The
// logins have no password: it is for a server that lets in who reaches it. person is a
// login that is there, for people, which reads. Then the owner calls Roles.
func MakeRoles(ctx context.Context, superuser, person string) (Logins, error) {
	c, err := pgx.Connect(ctx, superuser)
	if err != nil {
		return Logins{}, fmt.Errorf("make roles: %w", classify(err))
	}
	defer func() { _ = c.Close(context.WithoutCancel(ctx)) }()
	login := func(role string) string { return role + "_login" }
	for _, role := range Roles() {
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
	for _, statement := range []string{
		"revoke execute on function " + largeObjects + " from public",
		"grant " + RoleRead + " to " + pgx.Identifier{person}.Sanitize(),
	} {
		if _, err = c.Exec(ctx, statement); err != nil {
			return Logins{}, fmt.Errorf("make roles: %w", classify(err))
		}
	}
	return Logins{login(RoleStore), login(RoleSurvey), login(RoleSealed)}, nil
}

// Roles gives the roles that are there what they need, and takes from everybody
// but them and the tables' owner what is not for all. Where the configuration has a
// ReadKey, that and ReadKeyOld are from now on the keys of seals. It returns the roles
// that it found. Migrate does so as well; it must be the owner who calls.
func (l *Store) Roles(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.BulkTimeout)
	defer cancel()
	var found []string
	err := pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) (err error) {
		found, err = l.grant(ctx, tx)
		return err
	})
	if err != nil {
		return nil, unusable(fmt.Errorf("grant roles: %w", err))
	}
	return found, nil
}

func (l *Store) grant(ctx context.Context, tx pgx.Tx) ([]string, error) {
	roles, err := texts(ctx, tx, "select rolname from pg_roles where rolname = any($1) order by rolname", Roles())
	if err != nil || len(roles) == 0 {
		return nil, err
	}
	tables, err := texts(ctx, tx, "select tablename from pg_policies where schemaname = current_schema and policyname = 'tenant' order by tablename")
	if err != nil {
		return nil, err
	}
	writers, err := texts(ctx, tx, `select p.oid::regprocedure::text from pg_proc p
		where p.pronamespace = current_schema::regnamespace and p.proname ~ '^pipeline_(apply|collect|assess|notify_urls)_v[0-9]+$' order by 1`)
	if err != nil {
		return nil, err
	}
	is := map[string]bool{}
	services := []string{"current_user"}
	for _, role := range roles {
		if is[role] = true; role == RoleStore || role == RoleSurvey {
			services = append(services, role)
		}
	}
	all := strings.Join(roles, ", ")
	// Who may name a tenant without its seal.
	named := "public"
	if is[RoleSealed] {
		named = strings.Join(services, ", ")
		if is[RoleRead] {
			named += ", " + RoleRead
		}
	}
	var do []string
	for _, table := range tables {
		table = pgx.Identifier{table}.Sanitize()
		do = append(do,
			// Anybody may set a setting: that it is the service is true of its roles only.
			"alter policy tenant on "+table+" to "+named+" using (tenant_id = (select current_setting('sweepline.tenant', true)))",
			"drop policy if exists service on "+table,
			"create policy service on "+table+" to "+strings.Join(services, ", ")+
				" using ((select coalesce(current_setting('sweepline.scope', true) = 'service', false)))",
			"drop policy if exists sealed on "+table,
			"revoke all on "+table+" from public, "+all,
			"grant select on "+table+" to "+all)
		if is[RoleStore] {
			do = append(do, "grant insert, update, delete on "+table+" to "+RoleStore)
		}
		if is[RoleSealed] {
			do = append(do, "create policy sealed on "+table+" to "+RoleSealed+" using (tenant_id = (select pipeline_sealed_tenant()))")
		}
	}
	do = append(do, "grant select on goose_db_version to "+all)
	if is[RoleSealed] {
		var database string
		if err := tx.QueryRow(ctx, "select current_database()").Scan(&database); err != nil {
			return nil, err
		}
		// A temporary view of a table's name would stand in its place in the session, and
		// read the seals of those whose requests come after.
		do = append(do, "revoke temporary on database "+pgx.Identifier{database}.Sanitize()+" from public, "+all)
	}
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
	if len(l.readKeys) == 0 {
		return roles, nil
	}
	if _, err := tx.Exec(ctx, "delete from pipeline_read_keys"); err != nil {
		return nil, err
	}
	for _, k := range l.readKeys {
		inner, outer := k.pads()
		if _, err := tx.Exec(ctx, "insert into pipeline_read_keys values ($1, $2)", inner, outer); err != nil {
			return nil, err
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
