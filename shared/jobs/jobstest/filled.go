package jobstest

import (
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/jobstore/jobstoretest"
	"github.com/zixly/sweepline/shared/jobstore/postgres"
	"github.com/zixly/sweepline/shared/jobstore/sqlite"
	"github.com/zixly/sweepline/shared/servers/servertest"
	"github.com/zixly/sweepline/shared/wait"
)

// Filled runs a benchmark on SQLite and on PostgreSQL with 100 000 jobs each, a third
// of them each queued, running and failed, and the wait records in a real Redis.
// middle is the cursor of a page in the middle, done a finished job of 20 000 rows.
func Filled(b *testing.B, run func(b *testing.B, s *jobs.Service, middle, done string)) {
	for name, open := range map[string]func(*testing.B) (jobstore.Store, func()){"sqlite": openSQLite, "postgres": openPostgres} {
		b.Run(name, func(b *testing.B) {
			book, settle := open(b)
			middle, done := fillJobStore(b, book)
			settle()
			run(b, stored(b, book), middle, done)
		})
	}
}

// OnSQLite is a Service on an empty SQLite and a real Redis.
func OnSQLite(b *testing.B) (*jobs.Service, jobstore.Store) {
	b.Helper()
	book, _ := openSQLite(b)
	return stored(b, book), book
}

func stored(b *testing.B, book jobstore.Store) *jobs.Service {
	b.Helper()
	waits, err := wait.Open(b.Context(), wait.Config{RedisURL: servertest.Redis(b), KeyPrefix: "sweepline:bench:" + job.NewID() + ":"})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, waits.Close()) })
	d := New().Deps(b, "")
	d.Store, d.Waits = book, waits
	s, err := jobs.New(jobs.Config{Heartbeat: 15 * time.Second, MaxStreams: 2000}, d)
	require.NoError(b, err)
	return s
}

func openSQLite(b *testing.B) (jobstore.Store, func()) {
	b.Helper()
	book, err := sqlite.Open(b.Context(), b.TempDir()+"/bench.db")
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, book.Close()) })
	return book, func() {}
}

func openPostgres(b *testing.B) (jobstore.Store, func()) {
	b.Helper()
	url := servertest.Postgres(b)
	book, err := postgres.Open(b.Context(), postgres.Config{DatabaseURL: url, Timeout: 20 * time.Second, BulkTimeout: time.Minute, Migrate: true})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, book.Close()) })
	return book, func() { // what autovacuum does within a minute
		conn, err := pgx.Connect(b.Context(), url)
		require.NoError(b, err)
		_, err = conn.Exec(b.Context(), "vacuum analyze")
		require.NoError(b, err)
		require.NoError(b, conn.Close(b.Context()))
	}
}

// fillJobStore gives the cursor of a page in the middle and a finished job.
func fillJobStore(b *testing.B, book jobstore.Store) (middle, done string) {
	b.Helper()
	const n = 100_000
	for start := 0; start < n; start += 1000 {
		events := make([]cloudevents.Event, 1000)
		for i := range events {
			h := jobstoretest.Header("default")
			h.CreatedAt = jobstoretest.Start.Add(time.Duration(start+i) * time.Second)
			h.Parameters.Ticker = []string{"DAX", "SMI", "CAC", "FTSE"}[i%4]
			e := jobstoretest.Life(b, h)
			events[i] = []cloudevents.Event{e.Requested, e.Submitted, e.Failed}[i%3]
		}
		require.NoError(b, jobstore.Errors(book.Apply(b.Context(), events...)))
	}
	p, err := book.Jobs(b.Context(), "default", jobstore.Query{Until: jobstoretest.Start.Add(n / 2 * time.Second)})
	require.NoError(b, err)
	f := jobstoretest.Complete(b, book, jobstoretest.Header("default"), jobstoretest.Rows(20_000))
	return p.Next, f.Job.JobID
}
