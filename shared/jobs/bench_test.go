package jobs_test

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

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/jobs/jobstest"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/jobstore/jobstoretest"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

// BenchmarkWatchers holds 500 event streams open over real connections and
// reports what they cost this process. Server and clients share it, so the
// server's own cost is less.
func BenchmarkWatchers(b *testing.B) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	const n = 500
	for _, kind := range []string{"job", "overview"} {
		b.Run(kind, func(b *testing.B) {
			s, book := jobstest.OnSQLite(b)
			e := jobstoretest.Life(b, jobstoretest.Header("default"))
			require.NoError(b, jobstore.Errors(book.Apply(b.Context(), e.Requested)))
			mux := http.NewServeMux()
			s.Linked(mux)
			srv := httptest.NewServer(s.Guard(mux))
			defer srv.Close()
			path := map[string]string{"job": "/api/jobs/" + e.Requested.Subject() + "/stream", "overview": "/api/stream"}[kind]
			watchOne(b.Context(), b, srv.Listener.Addr().String(), path).Close() // what all watchers share
			quiet := runtime.NumGoroutine()
			for b.Loop() {
				// Those of the run before have to be gone, or their memory counts as ours.
				require.Eventually(b, func() bool { return runtime.NumGoroutine() <= quiet }, time.Minute, 10*time.Millisecond)
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
