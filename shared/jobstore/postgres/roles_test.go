package postgres_test

import (
	"context"
	"fmt"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/jobstore/jobstoretest"
	"github.com/zixly/sweepline/shared/jobstore/postgres"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

// withRoles gives the URLs of a database's owner and of a login in each role.
func withRoles(t *testing.T) (owner string, login map[string]string) {
	t.Helper()
	owner = servertest.Postgres(t)
	login = map[string]string{}
	for _, role := range []string{postgres.RoleStore, postgres.RoleSurvey, postgres.RoleRead} {
		name := role + "_login"
		servertest.Administer(t, owner, fmt.Sprintf(`do $$ begin
			perform pg_advisory_xact_lock(7);
			if not exists (select from pg_roles where rolname = '%[1]s') then create role %[1]s; end if;
			if not exists (select from pg_roles where rolname = '%[2]s') then create role %[2]s login in role %[1]s; end if;
		end $$`, role, name))
		u, err := url.Parse(owner)
		require.NoError(t, err)
		q := u.Query()
		q.Set("user", name)
		u.User, u.RawQuery = nil, q.Encode()
		login[role] = u.String()
	}
	return owner, login
}

// The store works as a role that owns nothing.
func TestStoreAsARoleOfItsOwn(t *testing.T) {
	t.Parallel()
	jobstoretest.Exercise(t, func(t *testing.T) jobstore.Store {
		owner, login := withRoles(t)
		_, err := open(t, owner, false).Migrate(t.Context())
		require.NoError(t, err)
		return open(t, login[postgres.RoleStore], false)
	})
}

// TestAnInjectedStatementDoesNotLeaveItsTenant: whoever makes a function that reads
// (api, dashboard, notify) run SQL of their own choice sees the rows of the tenant
// whose request it is, changes nothing, and cannot switch the policies off.
func TestAnInjectedStatementDoesNotLeaveItsTenant(t *testing.T) {
	t.Parallel()
	owner, login := withRoles(t)
	_, err := open(t, owner, false).Migrate(t.Context())
	require.NoError(t, err)
	writer := open(t, login[postgres.RoleStore], false)
	heads := map[string]job.Header{}
	for _, tenant := range []string{"acme", "globex"} {
		heads[tenant] = jobstoretest.Header(tenant)
		jobstoretest.Complete(t, writer, heads[tenant], jobstoretest.Rows(2))
	}
	tables := []string{"pipeline_jobs", "trading_sweep_results", "pipeline_job_events", "pipeline_pending", "pipeline_collections"}

	conn, err := pgx.Connect(t.Context(), login[postgres.RoleRead])
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	// run executes statements as acme's request does, in a transaction that names it.
	run := func(statements ...string) (err error) {
		tx, err := conn.Begin(t.Context())
		require.NoError(t, err)
		defer func() { _ = tx.Rollback(context.Background()) }()
		_, err = tx.Exec(t.Context(), "select set_config('sweepline.tenant', 'acme', true)")
		require.NoError(t, err)
		for _, s := range statements {
			if _, err := tx.Exec(t.Context(), s); err != nil {
				return err
			}
		}
		return nil
	}
	count := func(sql string) (n int) {
		tx, err := conn.Begin(t.Context())
		require.NoError(t, err)
		defer func() { _ = tx.Rollback(context.Background()) }()
		_, err = tx.Exec(t.Context(), "select set_config('sweepline.tenant', 'acme', true), set_config('sweepline.scope', 'service', true)")
		require.NoError(t, err)
		require.NoError(t, tx.QueryRow(t.Context(), sql).Scan(&n), sql)
		return n
	}
	for _, table := range tables {
		require.Zero(t, count("select count(*) from "+table+" where tenant_id <> 'acme' or true and tenant_id = 'globex'"), "%s, even as the service", table)
	}
	require.Equal(t, 1, count("select count(*) from pipeline_jobs where id is not null or 1 = 1"))
	require.Equal(t, 1, count("select count(*) from (select id from pipeline_jobs union select job_id from trading_sweep_results union select job_id from pipeline_job_events) x"))

	for _, table := range tables {
		for _, statement := range []string{
			"delete from %s", "update %s set tenant_id = 'acme'", "insert into %s (tenant_id) values ('acme')", "truncate %s", "drop table %s",
			"alter table %s disable row level security", "alter table %s no force row level security", "alter table %s owner to current_user",
			"drop policy tenant on %s", "drop policy service on %s", "create policy mine on %s using (true)", "alter policy tenant on %s using (true)",
			"lock table %s in exclusive mode", "create trigger x after insert on %s execute function pipeline_forget()",
		} {
			require.Error(t, run(fmt.Sprintf(statement, table)), statement, table)
		}
	}
	for _, statement := range []string{
		"set role " + postgres.RoleStore, "set role " + postgres.RoleSurvey, "set session authorization sweepline", "set row_security = off; select count(*) from pipeline_jobs",
		"create table public.mine (x int)", "create role mine", "alter role current_user createdb", "create database mine", "create extension dblink",
		"insert into goose_db_version (version_id, is_applied) values (99, true)", "copy pipeline_jobs to program 'id'", "select pg_read_file('/etc/passwd')",
		"grant " + postgres.RoleStore + " to current_user", "create function public.f() returns int language sql as 'select 1'",
	} {
		require.Error(t, run(statement), statement)
	}
	for _, function := range []string{"pipeline_apply_v1", "pipeline_collect_v1"} {
		var may bool
		require.NoError(t, conn.QueryRow(t.Context(), "select has_function_privilege(oid, 'execute') from pg_proc where proname = $1", function).Scan(&may))
		require.False(t, may, function)
	}

	// And it is enough for what these functions do.
	reader := open(t, login[postgres.RoleRead], false)
	require.NoError(t, reader.Start(t.Context()))
	require.NoError(t, reader.Ping(t.Context()))
	page, err := reader.Jobs(t.Context(), "acme", jobstore.Query{})
	require.NoError(t, err)
	require.Len(t, page.Jobs, 1)
	_, err = reader.Job(t.Context(), "acme", heads["globex"].JobID)
	require.ErrorIs(t, err, jobstore.ErrNotFound)
	_, err = reader.Timeline(t.Context(), "acme", heads["acme"].JobID)
	require.NoError(t, err)
	found, err := reader.Lookup(t.Context(), []string{heads["acme"].JobID, heads["globex"].JobID})
	require.NoError(t, err)
	require.Empty(t, found, "it knows no other tenants' jobs")

	// The supervisor looks at all tenants' jobs, and changes none.
	surveyor := open(t, login[postgres.RoleSurvey], false)
	found, err = surveyor.Lookup(t.Context(), []string{heads["acme"].JobID, heads["globex"].JobID})
	require.NoError(t, err)
	require.Len(t, found, 2)
	c, err := pgx.Connect(t.Context(), login[postgres.RoleSurvey])
	require.NoError(t, err)
	defer func() { _ = c.Close(context.Background()) }()
	_, err = c.Exec(t.Context(), "update pipeline_jobs set tenant_id = 'x'")
	require.ErrorContains(t, err, "permission denied")
}

// Roles that come later are given their rights by a call, as often as one likes.
func TestRolesOfADatabaseThatIsThere(t *testing.T) {
	t.Parallel()
	owner, login := withRoles(t)
	l := open(t, owner, true)
	require.NoError(t, l.Start(t.Context()))
	for range 2 {
		found, err := l.Roles(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{postgres.RoleRead, postgres.RoleStore, postgres.RoleSurvey}, found)
	}
	jobstoretest.Complete(t, open(t, login[postgres.RoleStore], false), jobstoretest.Header("acme"), jobstoretest.Rows(2))
	jobstoretest.Complete(t, l, jobstoretest.Header("acme"), jobstoretest.Rows(2))
	page, err := open(t, login[postgres.RoleRead], false).Jobs(t.Context(), "acme", jobstore.Query{})
	require.NoError(t, err)
	require.Len(t, page.Jobs, 2, "the owner works as before")
	_, err = open(t, login[postgres.RoleRead], false).Roles(t.Context())
	require.ErrorIs(t, err, jobstore.ErrUnusable)
}
