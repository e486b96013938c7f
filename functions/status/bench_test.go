package status_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions/status"
	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/jobstore/jobstoretest"
	"github.com/zixly/sweepline/shared/jobstore/postgres"
	"github.com/zixly/sweepline/shared/jobstore/sqlite"
	"github.com/zixly/sweepline/shared/servers/servertest"
	"github.com/zixly/sweepline/shared/wait"
)

// BenchmarkPages renders pages of a job store with 100 000 jobs, a third of them
// each queued, running and failed, with the wait records in a real Redis: a
// page must take less than 100 ms.
func BenchmarkPages(b *testing.B) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	for name, open := range map[string]func(*testing.B) (jobstore.Store, func()){"sqlite": openSQLite, "postgres": openPostgres} {
		b.Run(name, func(b *testing.B) {
			book, settle := open(b)
			middle, done := fillJobStore(b, book)
			settle()
			waits, err := wait.Open(b.Context(), wait.Config{RedisURL: servertest.Redis(b), KeyPrefix: "sweepline:bench:" + job.NewID() + ":"})
			require.NoError(b, err)
			b.Cleanup(func() { require.NoError(b, waits.Close()) })
			h := handlerOn(b, book, waits)
			for name, path := range map[string]string{
				"first": "/", "middle": "/?cursor=" + middle, "status": "/?status=FAILED", "ticker": "/?ticker=SMI&status=RUNNING",
				"text": "/?q=cac", "no match": "/?q=nowhere", "time": "/?since=" + jobstoretest.Start.Add(10*time.Hour).Format("2006-01-02T15:04"),
				"api": "/api/jobs", "job of 20000 rows": "/jobs/" + done, "sorted rows": "/jobs/" + done + "?sort=win_rate_pct&from=10000",
			} {
				b.Run(name, func(b *testing.B) {
					for b.Loop() {
						r := call(h, "GET", path)
						require.Equal(b, http.StatusOK, r.Code)
						b.ReportMetric(float64(r.Body.Len())/1024, "KiB")
					}
				})
			}
		})
	}
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

// fillLedger gives the cursor of a page in the middle and a finished job.
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

func handlerOn(b *testing.B, book jobstore.Store, waits *wait.Waits) http.Handler {
	b.Helper()
	keys, err := auth.New(auth.Config{})
	require.NoError(b, err)
	f, err := status.New(status.Config{Heartbeat: 15 * time.Second, MaxStreams: 2000}, status.Deps{
		Jobs: book, Waits: waits, Cancel: waits, Enqueuer: &world{}, Letters: mail{&world{}}, Keys: keys,
	})
	require.NoError(b, err)
	h, err := function.Handler("status", f, prometheus.NewRegistry())
	require.NoError(b, err)
	return h
}

// BenchmarkWatchers holds 500 event streams open over real connections and
// reports what they cost this process. Server and clients share it, so the
// server's own cost is less.
func BenchmarkWatchers(b *testing.B) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	const n = 500
	for _, kind := range []string{"job", "overview"} {
		b.Run(kind, func(b *testing.B) {
			book, _ := openSQLite(b)
			waits, err := wait.Open(b.Context(), wait.Config{RedisURL: servertest.Redis(b), KeyPrefix: "sweepline:bench:" + job.NewID() + ":"})
			require.NoError(b, err)
			defer func() { require.NoError(b, waits.Close()) }()
			e := jobstoretest.Life(b, jobstoretest.Header("default"))
			require.NoError(b, jobstore.Errors(book.Apply(b.Context(), e.Requested)))
			srv := httptest.NewServer(handlerOn(b, book, waits))
			defer srv.Close()
			path := map[string]string{"job": "/api/jobs/" + e.Requested.Subject() + "/stream", "overview": "/api/stream"}[kind]
			watchOne(b.Context(), b, srv.Listener.Addr().String(), path).Close() // what all watchers share
			quiet := runtime.NumGoroutine()
			for b.Loop() {
				// Those of the run before have to be gone, or their memory counts as ours.
				require.Eventually(b, func() bool { return runtime.NumGoroutine() <= quiet }, 20*time.Second, 10*time.Millisecond)
				before := memory()
				conns := make([]net.Conn, n)
				for i := range conns {
					conns[i] = watchOne(b.Context(), b, srv.Listener.Addr().String(), path)
				}
				used := memory() - before
				b.ReportMetric(float64(used)/(1<<20), "MiB")
				b.ReportMetric(float64(used)/n/1024, "KiB/watcher")
				for _, c := range conns {
					_ = c.Close()
				}
				srv.CloseClientConnections()
			}
		})
	}
}

// memory is what is reachable, and stacks. Twice, for pools are emptied by the
// second collection.
func memory() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// watchOne is the leanest of clients: a connection and its first event.
func watchOne(ctx context.Context, b *testing.B, address, path string) net.Conn {
	b.Helper()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	require.NoError(b, err)
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
	require.NoError(b, err)
	require.NoError(b, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	var text strings.Builder
	for buf := make([]byte, 512); !strings.Contains(text.String(), "data: "); {
		k, err := conn.Read(buf)
		require.NotErrorIs(b, err, io.EOF, text.String())
		require.NoError(b, err)
		text.Write(buf[:k])
	}
	return conn
}
