package postgres_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/jobstore/jobstoretest"
	"github.com/zixly/sweepline/shared/jobstore/postgres"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

// execute runs statements as the owner of the database, in sight of all rows.
func execute(t *testing.T, url string, statements ...string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.Background())) }()
	_, err = conn.Exec(t.Context(), "set sweepline.scope = 'service'")
	require.NoError(t, err)
	for _, s := range statements {
		_, err := conn.Exec(t.Context(), s)
		require.NoError(t, err, s)
	}
}

// TestAStartThatCannotSucceed ends with the reason, and is not tried again for
// each event.
func TestAStartThatCannotSucceed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil, says string
		migrated    bool
	}{
		"foreign tables": {spoil: "create table pipeline_jobs (id int)", says: "already exists"},
		"missing rights": {spoil: "revoke create on schema public from pg_database_owner", says: "permission denied"},
		"newer schema":   {spoil: "insert into goose_db_version (version_id, is_applied) values (99, true)", says: "newer than version", migrated: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := servertest.Postgres(t)
			if c.migrated {
				require.NoError(t, open(t, url, true).Start(t.Context()))
			}
			execute(t, url, c.spoil)
			var n counter
			l, err := postgres.OpenTuned(t.Context(), postgres.Config{DatabaseURL: url, Timeout: 20 * time.Second, BulkTimeout: time.Minute, Migrate: true},
				func(pc *pgxpool.Config) { pc.ConnConfig.Tracer = &n })
			require.NoError(t, err)
			defer func() { require.NoError(t, l.Close()) }()
			err = jobstore.Start(t.Context(), l)
			require.ErrorIs(t, err, jobstore.ErrUnusable)
			require.ErrorContains(t, err, c.says)
			before := n.statements.Load()
			for range 20 {
				a := l.Apply(t.Context(), jobstoretest.Life(t, jobstoretest.Header("a")).Requested)
				require.ErrorIs(t, a[0].Err, jobstore.ErrUnusable)
				require.NotErrorIs(t, a[0].Err, jobstore.ErrUnreadable)
			}
			require.Equal(t, before, n.statements.Load(), "each event asked the database again")
		})
	}
}

// TestAStartWithoutADatabase goes on, and the first call after it has come finds
// it.
func TestAStartWithoutADatabase(t *testing.T) {
	t.Parallel()
	url := servertest.Postgres(t)
	var there atomic.Bool
	l, err := postgres.OpenTuned(t.Context(), postgres.Config{DatabaseURL: url, Timeout: 20 * time.Second, BulkTimeout: time.Minute, Migrate: true}, func(pc *pgxpool.Config) {
		dial := pc.ConnConfig.DialFunc
		pc.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if !there.Load() {
				return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
			}
			return dial(ctx, network, addr)
		}
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	require.ErrorIs(t, l.Start(t.Context()), jobstore.ErrUnavailable)
	require.NoError(t, jobstore.Start(t.Context(), l))
	e := jobstoretest.Life(t, jobstoretest.Header("a")).Requested
	require.ErrorIs(t, l.Apply(t.Context(), e)[0].Err, jobstore.ErrUnavailable)
	there.Store(true)
	require.NoError(t, l.Apply(t.Context(), e)[0].Err)
}

// TestASchemaThatOthersMigrate is waited for.
func TestASchemaThatOthersMigrate(t *testing.T) {
	t.Parallel()
	url := servertest.Postgres(t)
	l := open(t, url, false)
	err := l.Start(t.Context())
	require.ErrorIs(t, err, jobstore.ErrUnavailable)
	require.ErrorContains(t, err, "sweepline migrate up")
	_, err = open(t, url, false).Migrate(t.Context())
	require.NoError(t, err)
	require.NoError(t, l.Start(t.Context()))
}

// TestAFailover: sessions are read-only for a while, as on a standby. None of
// them is used once a server that can be written is there.
func TestAFailover(t *testing.T) {
	t.Parallel()
	url := servertest.Postgres(t)
	l := open(t, url, true)
	apply := func() (errs []error) {
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 8 {
			e := jobstoretest.Life(t, jobstoretest.Header("a")).Requested
			wg.Go(func() {
				err := jobstore.Errors(l.Apply(context.WithoutCancel(t.Context()), e))
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			})
		}
		wg.Wait()
		return errs
	}
	require.NoError(t, errors.Join(apply()...))
	require.NoError(t, l.Ping(t.Context()))
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	name := conn.Config().Database
	for _, sql := range []string{
		"alter database " + name + " set default_transaction_read_only = on",
		"select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()",
	} {
		_, err = conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	for range 3 {
		for _, err := range apply() {
			require.ErrorIs(t, err, jobstore.ErrUnavailable)
		}
	}
	require.ErrorContains(t, l.Ping(t.Context()), "read-only", "a process that writes is not ready")
	require.ErrorIs(t, l.Ping(t.Context()), jobstore.ErrUnavailable)
	reader := open(t, url, true)
	require.NoError(t, reader.Ping(t.Context()), "one that only reads is")
	_, err = conn.Exec(t.Context(), "alter database "+name+" reset default_transaction_read_only")
	require.NoError(t, err)
	require.NoError(t, errors.Join(apply()...), "no attempt meets the server that was")
	require.NoError(t, l.Ping(t.Context()))
}

// TestPoisonCostsOnlyItself: what the database refuses is found among many.
func TestPoisonCostsOnlyItself(t *testing.T) {
	t.Parallel()
	url := servertest.Postgres(t)
	l := open(t, url, true)
	require.NoError(t, l.Start(t.Context()))
	execute(t, url, "alter table pipeline_job_events add check (error <> 'poison')")
	var events []cloudevents.Event
	for i := range 40 {
		h := jobstoretest.Header("a")
		message := "no result"
		if i == 11 || i == 12 || i == 30 {
			message = "poison"
		}
		e, err := event.NewFailed(event.Failed{Header: h, ErrorCode: job.TimedOut, ErrorMessage: message, FailedAt: jobstoretest.Start, Via: event.ViaDeadline})
		require.NoError(t, err)
		events = append(events, e)
	}
	for i, a := range l.Apply(t.Context(), events...) {
		if i == 11 || i == 12 || i == 30 {
			require.ErrorIs(t, a.Err, jobstore.ErrUnreadable)
			require.ErrorContains(t, a.Err, "violates check constraint")
			continue
		}
		require.NoError(t, a.Err)
		require.True(t, a.First)
	}
}

// TestWhatSomebodyElseWrote fails no list.
func TestWhatSomebodyElseWrote(t *testing.T) {
	t.Parallel()
	url := servertest.Postgres(t)
	l := open(t, url, true)
	good, bad, worse := jobstoretest.Header("a"), jobstoretest.Header("a"), jobstoretest.Header("a")
	for _, h := range []job.Header{good, bad, worse} {
		jobstoretest.Complete(t, l, h, jobstoretest.Rows(3))
	}
	execute(t, url,
		`update pipeline_jobs set created_at = 'infinity', completed_at = '20000-01-01', started_at = '-infinity',
			parameters = '{"ticker": "DAX", "strategy_type": "SMA", "fast_range": "x"}', result = '{}', metrics = '[]' where id = '`+bad.JobID+`'`,
		`update pipeline_jobs set created_at = '0044-03-15 BC', parameters = '{"ticker": 7, "strategy_type": "SMA"}', result = '"x"' where id = '`+worse.JobID+`'`,
		`update trading_sweep_results set score = 'NaN', calmar_ratio = 'NaN' where job_id = '`+bad.JobID+`'`,
		`update pipeline_job_events set time = 'infinity', data = '[1]' where job_id = '`+bad.JobID+`'`,
	)
	p, err := l.Jobs(t.Context(), "a", jobstore.Query{})
	require.NoError(t, err)
	require.Len(t, p.Jobs, 3)
	_, err = json.Marshal(p)
	require.NoError(t, err)
	for limit := 1; limit < 3; limit++ { // pages end
		q, seen := jobstore.Query{Limit: limit}, 0
		for range 5 {
			p, err := l.Jobs(t.Context(), "a", q)
			require.NoError(t, err)
			seen += len(p.Jobs)
			if q.Cursor = p.Next; q.Cursor == "" {
				break
			}
		}
		require.GreaterOrEqual(t, seen, 2)
		require.Empty(t, q.Cursor)
	}
	for _, h := range []job.Header{bad, worse} {
		j, err := l.Job(t.Context(), "a", h.JobID)
		require.NoError(t, err)
		_, err = json.Marshal(j)
		require.NoError(t, err)
		events, err := l.Timeline(t.Context(), "a", h.JobID)
		require.NoError(t, err)
		_, err = json.Marshal(events)
		require.NoError(t, err)
		n := 0
		for r, err := range l.Results(t.Context(), "a", h.JobID, jobstore.ByScore) {
			require.NoError(t, err)
			_, err = json.Marshal(r)
			require.NoError(t, err)
			n++
		}
		require.Equal(t, 3, n)
	}
}
