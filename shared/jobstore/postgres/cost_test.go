package postgres_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/jobstore/jobstoretest"
	"github.com/zixly/sweepline/shared/jobstore/postgres"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

// counter counts the statements that a pool sends, those of batches one by one.
type counter struct{ statements atomic.Int64 }

func (c *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.statements.Add(1)
	return ctx
}
func (c *counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (c *counter) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}
func (c *counter) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {
	c.statements.Add(1)
}
func (c *counter) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// counted is a job store whose statements are counted.
func counted(t testing.TB, url string, c *counter) *postgres.Store {
	t.Helper()
	l, err := postgres.OpenTuned(context.Background(), postgres.Config{DatabaseURL: url, Timeout: 20 * time.Second, BulkTimeout: time.Minute, Migrate: true},
		func(pc *pgxpool.Config) { pc.ConnConfig.Tracer = c })
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	require.NoError(t, l.Start(context.Background()))
	return l
}

// burst takes n jobs of one row through their lives as the pipeline does under
// load: events in batches of batch, pages in groups of up to pages, at most
// parallel calls at once.
func burst(t testing.TB, l jobstore.Store, n, batch, pages, parallel int) {
	t.Helper()
	headers := make([]job.Header, n)
	lives := make([]jobstoretest.Events, n)
	rows := jobstoretest.Rows(1)
	for i := range headers {
		headers[i] = jobstoretest.Header("default")
		headers[i].CreatedAt = headers[i].CreatedAt.Add(time.Duration(i) * time.Millisecond)
		lives[i] = jobstoretest.Life(t, headers[i])
	}
	calls := func(size int, call func(from, to int) error) {
		var wg sync.WaitGroup
		slots := make(chan struct{}, parallel)
		for from := 0; from < n; from += size {
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				if err := call(from, min(from+size, n)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	step := func(of func(i int) cloudevents.Event) {
		events := make([]cloudevents.Event, n)
		for i := range events {
			events[i] = of(i)
		}
		calls(batch, func(from, to int) error { return jobstore.Errors(l.Apply(context.Background(), events[from:to]...)) })
	}
	step(func(i int) cloudevents.Event { return lives[i].Requested })
	step(func(i int) cloudevents.Event { return lives[i].Again })
	step(func(i int) cloudevents.Event { return lives[i].Completed })
	calls(pages, func(from, to int) error {
		if _, err := l.Collections(context.Background(), headers[from:to]...); err != nil {
			return err
		}
		var group []jobstore.ResultPage
		for _, h := range headers[from:to] {
			group = append(group, jobstore.ResultPage{Header: h, SweepRunID: "run-1", Next: 1, Total: 1, Last: true, Rows: rows})
		}
		_, err := l.Collect(context.Background(), group...)
		return err
	})
	step(func(i int) cloudevents.Event { return jobstoretest.Collected(t, headers[i], rows) })
	step(func(i int) cloudevents.Event { return jobstoretest.Notified(t, headers[i], "slack") })
}

// TestStatementsAJob: in a burst a job costs less than one statement, and its
// row is written at most three times.
func TestStatementsAJob(t *testing.T) {
	t.Parallel()
	var c counter
	url := servertest.Postgres(t)
	l := counted(t, url, &c)
	before := c.statements.Load()
	const n = 640
	burst(t, l, n, 64, 8, 4)
	statements := float64(c.statements.Load()-before) / n
	t.Logf("%.2f statements a job", statements)
	require.LessOrEqual(t, statements, 0.4)

	writes := stats(t, url, "pipeline_jobs", n)
	require.LessOrEqual(t, writes.inserts+writes.updates, int64(3*n))
	require.EqualValues(t, n, writes.inserts)
	require.Zero(t, writes.deletes)
}

type tableStats struct{ inserts, updates, deletes int64 }

// stats reads what was written to a table, once at least inserts are told of:
// sessions report with a delay.
func stats(t testing.TB, url, table string, inserts int64) (s tableStats) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	require.Eventually(t, func() bool {
		err := conn.QueryRow(context.Background(), "select n_tup_ins, n_tup_upd, n_tup_del from pg_stat_user_tables where relname = $1", table).
			Scan(&s.inserts, &s.updates, &s.deletes)
		require.NoError(t, err)
		return s.inserts >= inserts && s.updates >= 2*inserts
	}, time.Minute, 50*time.Millisecond)
	return s
}

// BenchmarkBurst is what the job store costs PostgreSQL in a burst: processor time
// of all its processes by /proc, write-ahead log, statements.
func BenchmarkBurst(b *testing.B) {
	const n = 3000
	for _, batch := range []int{64, 16, 1} {
		b.Run(fmt.Sprintf("batches of %d", batch), func(b *testing.B) {
			var c counter
			url := servertest.Postgres(b)
			l := counted(b, url, &c)
			conn, err := pgx.Connect(b.Context(), url)
			require.NoError(b, err)
			defer func() { _ = conn.Close(context.Background()) }()
			burst(b, l, 200, batch, min(batch, 8), 4) // plans are made
			pids := backends(b, conn)
			statements, cpu, wal := c.statements.Load(), cpuOf(b, pids), walOf(b, conn)
			for b.Loop() {
				burst(b, l, n, batch, min(batch, 8), 4)
			}
			jobs := float64(b.N * n)
			b.ReportMetric(float64(cpuOf(b, backends(b, conn))-cpu)*1000/jobs, "pg-cpu-ms/job")
			b.ReportMetric(float64(walOf(b, conn)-wal)/jobs, "wal-bytes/job")
			b.ReportMetric(float64(c.statements.Load()-statements)/jobs, "statements/job")
			b.ReportMetric(jobs/b.Elapsed().Seconds(), "jobs/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// backends are the server's processes but the one that answers here, and those
// that come and go.
func backends(b *testing.B, conn *pgx.Conn) []int {
	b.Helper()
	rows, err := conn.Query(b.Context(), "select pid from pg_stat_activity where pid <> pg_backend_pid() and backend_type <> 'autovacuum worker'")
	require.NoError(b, err)
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	require.NoError(b, err)
	slices.Sort(pids)
	return pids
}

// cpuOf sums the processor seconds of processes, user and system.
func cpuOf(b *testing.B, pids []int) (seconds float64) {
	b.Helper()
	const ticks = 100 // a second: USER_HZ
	for _, pid := range pids {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
		for _, f := range fields[11:13] {
			n, err := strconv.ParseFloat(f, 64)
			require.NoError(b, err)
			seconds += n / ticks
		}
	}
	return seconds
}

func walOf(b *testing.B, conn *pgx.Conn) (bytes int64) {
	b.Helper()
	require.NoError(b, conn.QueryRow(b.Context(), "select (pg_current_wal_insert_lsn() - '0/0')::bigint").Scan(&bytes))
	return bytes
}
