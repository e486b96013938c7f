package postgres_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/jobstore/jobstoretest"
	"github.com/zixly/sweepline/shared/jobstore/postgres"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

func open(t testing.TB, url string, migrate bool) *postgres.Store {
	t.Helper()
	l, err := postgres.Open(context.Background(), postgres.Config{DatabaseURL: url, Timeout: 20 * time.Second, BulkTimeout: time.Minute, Migrate: migrate})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

func TestStore(t *testing.T) {
	t.Parallel()
	jobstoretest.Exercise(t, func(t *testing.T) jobstore.Store { return open(t, servertest.Postgres(t), true) })
}

func BenchmarkStore(b *testing.B) {
	var url string
	jobstoretest.Bench(b, func(b *testing.B) jobstore.Store {
		url = servertest.Postgres(b)
		return open(b, url, true)
	}, func(b *testing.B) { // what autovacuum does within a minute
		conn, err := pgx.Connect(b.Context(), url)
		require.NoError(b, err)
		_, err = conn.Exec(b.Context(), "vacuum analyze")
		require.NoError(b, err)
		require.NoError(b, conn.Close(b.Context()))
	})
}

func TestManyProcessesMigrateAtOnce(t *testing.T) {
	t.Parallel()
	url := servertest.Postgres(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	applied := 0
	for range 5 {
		l := open(t, url, false)
		wg.Go(func() {
			done, err := l.Migrate(context.Background())
			mu.Lock()
			defer mu.Unlock()
			applied += len(done)
			if err != nil {
				t.Errorf("migrate: %v", err)
			}
		})
	}
	wg.Wait()
	status, err := open(t, url, false).Status(t.Context())
	require.NoError(t, err)
	require.Len(t, status, applied, "each migration ran once")
	require.Equal(t, "00001_pipeline.sql", status[0].Name)
	require.False(t, status[0].AppliedAt.IsZero())
}

func TestPingNeedsTheSchema(t *testing.T) {
	t.Parallel()
	url := servertest.Postgres(t)
	l := open(t, url, false)
	require.Error(t, l.Ping(t.Context()))
	status, err := l.Status(t.Context())
	require.NoError(t, err)
	require.True(t, status[0].AppliedAt.IsZero())
	require.NoError(t, open(t, url, true).Ping(t.Context()))
	require.NoError(t, l.Ping(t.Context()))
}

func TestRowLevelSecurity(t *testing.T) {
	t.Parallel()
	url := servertest.Postgres(t)
	l := open(t, url, true)
	for _, tenant := range []string{"a", "b"} {
		jobstoretest.Complete(t, l, jobstoretest.Header(tenant), jobstoretest.Rows(2))
	}
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	count := func(setting, value string) (n [3]int) {
		tx, err := conn.Begin(t.Context())
		require.NoError(t, err)
		defer func() { _ = tx.Rollback(context.Background()) }()
		if setting != "" {
			_, err = tx.Exec(t.Context(), "select set_config($1, $2, true)", setting, value)
			require.NoError(t, err)
		}
		for i, table := range []string{"pipeline_jobs", "trading_sweep_results", "pipeline_job_events"} {
			require.NoError(t, tx.QueryRow(t.Context(), "select count(*) from "+table).Scan(&n[i]))
		}
		return n
	}
	require.Equal(t, [3]int{0, 0, 0}, count("", ""), "without a tenant nothing is seen")
	require.Equal(t, [3]int{1, 2, 3}, count("sweepline.tenant", "a"))
	require.Equal(t, [3]int{0, 0, 0}, count("sweepline.tenant", ""))
	require.Equal(t, [3]int{2, 4, 6}, count("sweepline.scope", "service"))
	require.Equal(t, [3]int{0, 0, 0}, count("", ""), "the setting outlived its transaction")

	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "select set_config('sweepline.tenant', 'a', true)")
	require.NoError(t, err)
	tag, err := tx.Exec(t.Context(), "update pipeline_jobs set error_message = 'x'")
	require.NoError(t, err)
	require.EqualValues(t, 1, tag.RowsAffected())
	_, err = tx.Exec(t.Context(), "update pipeline_jobs set tenant_id = 'b'")
	require.Error(t, err, "a tenant gave its job away")
	require.NoError(t, tx.Rollback(context.Background()))
}

func TestAServerThatIsAway(t *testing.T) {
	t.Parallel()
	l, err := postgres.Open(t.Context(), postgres.Config{DatabaseURL: "postgres://u:secret@127.0.0.1:1/x", Timeout: time.Second, BulkTimeout: time.Second, Migrate: true})
	require.NoError(t, err, "a database that is down does not keep a function from starting")
	defer func() { require.NoError(t, l.Close()) }()
	err = jobstore.Errors(l.Apply(t.Context(), jobstoretest.Life(t, jobstoretest.Header("a")).Requested))
	require.ErrorIs(t, err, jobstore.ErrUnavailable)
	require.NotErrorIs(t, err, jobstore.ErrUnreadable)
	require.NotContains(t, err.Error(), "secret")
}

func TestConfig(t *testing.T) {
	t.Parallel()
	_, err := postgres.Open(t.Context(), postgres.Config{DatabaseURL: "postgres://u:secret@h:port/x", Timeout: 1, BulkTimeout: 1})
	require.ErrorContains(t, err, "DATABASE_URL")
	require.NotContains(t, err.Error(), "secret")
	_, err = postgres.Open(t.Context(), postgres.Config{DatabaseURL: "postgres://h/x"})
	require.ErrorContains(t, err, "DATABASE_TIMEOUT")
}
