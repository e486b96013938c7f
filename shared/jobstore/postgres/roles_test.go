package postgres_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

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
	for _, role := range postgres.Roles() {
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

// readKey is long enough to be hashed first, as HMAC does with a key beyond a block.
var readKey = strings.Repeat("0123456789abcdef", 5)

func openSealed(t *testing.T, url string, migrate bool, key, old string) *postgres.Store {
	t.Helper()
	l, err := postgres.Open(context.Background(), postgres.Config{
		DatabaseURL: url, Timeout: 20 * time.Second, BulkTimeout: time.Minute, Migrate: migrate, ReadKey: key, ReadKeyOld: old,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

// sealOf is a tenant's seal, made here and not by the code that is tested.
func sealOf(tenant string) string {
	h := hmac.New(sha256.New, []byte(readKey))
	h.Write([]byte(tenant))
	return hex.EncodeToString(h.Sum(nil))
}

// TestAnInjectedStatementDoesNotLeaveItsTenant: whoever makes a function that reads
// (api, dashboard, notify) run SQL of their own choice sees the rows of the tenant
// whose request it is, changes nothing, and cannot switch the policies off.
func TestAnInjectedStatementDoesNotLeaveItsTenant(t *testing.T) {
	t.Parallel()
	owner, login := withRoles(t)
	servertest.Administer(t, owner, "revoke execute on function lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) from public")
	_, err := openSealed(t, owner, false, readKey, "").Migrate(t.Context())
	require.NoError(t, err)
	writer := open(t, login[postgres.RoleStore], false)
	heads := map[string]job.Header{}
	for _, tenant := range []string{"acme", "globex"} {
		heads[tenant] = jobstoretest.Header(tenant)
		jobstoretest.Complete(t, writer, heads[tenant], jobstoretest.Rows(2))
	}
	tables := []string{"pipeline_jobs", "trading_sweep_results", "pipeline_job_events", "pipeline_pending", "pipeline_collections"}

	conn, err := pgx.Connect(t.Context(), login[postgres.RoleSealed])
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	// enter is what acme's request begins with.
	enter := fmt.Sprintf("select set_config('sweepline.tenant', 'acme', true), set_config('sweepline.seal', '%s', true)", sealOf("acme"))
	// run executes statements as acme's request does, in a transaction that names it.
	run := func(statements ...string) (err error) {
		tx, err := conn.Begin(t.Context())
		require.NoError(t, err)
		defer func() { _ = tx.Rollback(context.Background()) }()
		_, err = tx.Exec(t.Context(), enter)
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
		_, err = tx.Exec(t.Context(), enter+", set_config('sweepline.scope', 'service', true)")
		require.NoError(t, err)
		require.NoError(t, tx.QueryRow(t.Context(), sql).Scan(&n), sql)
		return n
	}
	for _, table := range tables {
		require.Zero(t, count("select count(*) from "+table+" where tenant_id <> 'acme' or true and tenant_id = 'globex'"), "%s, even as the service", table)
	}
	require.Equal(t, 1, count("select count(*) from pipeline_jobs where id is not null or 1 = 1"))
	require.Equal(t, 1, count("select count(*) from (select id from pipeline_jobs union select job_id from trading_sweep_results union select job_id from pipeline_job_events) x"))

	// It cannot name another tenant, as it has no seal of one.
	for _, table := range tables {
		for _, name := range []string{
			"set_config('sweepline.tenant', 'globex', true)", "set_config('sweepline.tenant', 'globex', true), set_config('sweepline.seal', '', true)",
			"set_config('sweepline.tenant', 'globex', true), set_config('sweepline.seal', (select string_agg(md5(x::text), '') from generate_series(1, 2) x), true)",
			"set_config('sweepline.tenant', ' acme', true)", "set_config('sweepline.tenant', 'ACME', true)", "set_config('sweepline.tenant', 'acme,globex', true)",
		} {
			if table == "pipeline_pending" || table == "pipeline_collections" {
				continue // empty: nothing asks whose rows they are
			}
			require.ErrorContains(t, run("select "+name, "select * from "+table), "not sealed", "%s: %s", table, name)
			require.Error(t, run(fmt.Sprintf("with n as materialized (select %s) select count(*) from n, %s", name, table)), "%s: %s", table, name)
		}
	}
	require.Zero(t, count("select count(*) from pg_stats where tablename like any (array['pipeline%', 'trading%'])"), "values of other tenants in the planner's figures")
	require.Zero(t, count(fmt.Sprintf("select count(*) from pg_stat_activity where query like '%%%s%%' and pid <> pg_backend_pid()", sealOf("globex"))))

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
		"set role " + postgres.RoleRead, "select * from pipeline_read_keys", "delete from pipeline_read_keys", "insert into pipeline_read_keys values ('', '')",
		"alter function pipeline_sealed_tenant() security invoker", "alter function pipeline_sealed_tenant() set search_path = pg_temp",
		"create or replace function pipeline_unsealed() returns text language sql as $$ select 'globex' $$",
		// What would be found by requests of others in the same session, or by anybody.
		"create temp table pipeline_jobs (x int)", "create temp view pipeline_jobs as select 1",
		"create function pg_temp.f() returns int language sql as 'select 1'", "select lo_from_bytea(0, 'x')", "select lo_create(0)",
	} {
		require.Error(t, run(statement), statement)
	}
	for _, function := range []string{"pipeline_apply_v1", "pipeline_apply_v2", "pipeline_collect_v1", "pipeline_collect_v2", "pipeline_assess_v1", "pipeline_notify_urls_v1"} {
		var may bool
		require.NoError(t, conn.QueryRow(t.Context(), "select has_function_privilege(oid, 'execute') from pg_proc where proname = $1", function).Scan(&may))
		require.False(t, may, function)
	}

	// And it is enough for what these functions do.
	reader := openSealed(t, login[postgres.RoleSealed], false, readKey, "")
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
		require.Equal(t, postgres.Roles(), found)
	}
	jobstoretest.Complete(t, open(t, login[postgres.RoleStore], false), jobstoretest.Header("acme"), jobstoretest.Rows(2))
	jobstoretest.Complete(t, l, jobstoretest.Header("acme"), jobstoretest.Rows(2))
	page, err := open(t, login[postgres.RoleRead], false).Jobs(t.Context(), "acme", jobstore.Query{})
	require.NoError(t, err)
	require.Len(t, page.Jobs, 2, "the owner works as before")
	_, err = open(t, login[postgres.RoleRead], false).Roles(t.Context())
	require.ErrorIs(t, err, jobstore.ErrUnusable)
}

// TestKeysOfSealsRotate: the database takes the old key and the new one, then the new
// one alone; a login that has to show seals and cannot is told so at its start.
func TestKeysOfSealsRotate(t *testing.T) {
	t.Parallel()
	const first, second = "first-0123456789abcdef", "second-0123456789abcdef"
	owner, login := withRoles(t)
	_, err := openSealed(t, owner, false, first, "").Migrate(t.Context())
	require.NoError(t, err)
	h := jobstoretest.Header("acme")
	jobstoretest.Complete(t, open(t, login[postgres.RoleStore], false), h, jobstoretest.Rows(2))
	seen := func(role, key string) error {
		l := openSealed(t, login[role], false, key, "")
		if err := l.Start(t.Context()); err != nil {
			require.ErrorIs(t, err, jobstore.ErrUnusable)
			require.ErrorContains(t, err, "not sealed")
			return err
		}
		_, err := l.Job(t.Context(), "acme", h.JobID)
		return err
	}
	require.NoError(t, seen(postgres.RoleSealed, first))
	require.Error(t, seen(postgres.RoleSealed, second))
	require.Error(t, seen(postgres.RoleSealed, ""))
	require.NoError(t, seen(postgres.RoleRead, ""), "people and functions of before name a tenant")
	require.NoError(t, seen(postgres.RoleRead, second), "whose seal is not looked at")

	_, err = openSealed(t, owner, false, second, first).Roles(t.Context())
	require.NoError(t, err)
	require.NoError(t, seen(postgres.RoleSealed, first))
	require.NoError(t, seen(postgres.RoleSealed, second))
	running := openSealed(t, login[postgres.RoleSealed], false, first, "")
	_, err = running.Job(t.Context(), "acme", h.JobID)
	require.NoError(t, err)
	_, err = openSealed(t, owner, false, second, "").Roles(t.Context())
	require.NoError(t, err)
	_, err = open(t, owner, false).Roles(t.Context())
	require.NoError(t, err, "without a key the keys stay")
	require.Error(t, seen(postgres.RoleSealed, first))
	require.NoError(t, seen(postgres.RoleSealed, second))
	_, err = running.Job(t.Context(), "acme", h.JobID)
	require.ErrorContains(t, err, "not sealed", "and not that there is no such job")

	for name, cfg := range map[string]postgres.Config{
		"DATABASE_READ_KEY is too short": {ReadKey: "short"}, "DATABASE_READ_KEY_OLD is too short": {ReadKey: first, ReadKeyOld: "short"},
		"needs DATABASE_READ_KEY": {ReadKeyOld: first},
	} {
		cfg.DatabaseURL, cfg.Timeout, cfg.BulkTimeout = owner, time.Second, time.Second
		_, err := postgres.Open(t.Context(), cfg)
		require.ErrorContains(t, err, name)
		require.NotContains(t, err.Error(), "short\"")
	}
}
