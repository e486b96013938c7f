//go:build !race

package soak_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/servers/servertest"
)

// BenchmarkStartToReady is our own part of a cold start: from starting a
// function's process until it answers at /healthz, which is what a cluster's
// probe asks before it lets an event in (ms/ready), and at /readyz, which waits
// for a new connection to the function's stores (ms/stores).
func BenchmarkStartToReady(b *testing.B) {
	_, err := binaries()
	require.NoError(b, err)
	redis, database := servertest.Redis(b), servertest.Postgres(b)
	log, err := os.Create(filepath.Join(b.TempDir(), "log"))
	require.NoError(b, err)
	b.Cleanup(func() { _ = log.Close() })
	for _, name := range []string{"receive", "submit", "callback", "collect", "store", "notify", "api", "dashboard", "supervise"} {
		b.Run(name, func(b *testing.B) {
			port := servertest.Port(b)
			p := &process{
				t: b, name: name, port: port, log: log,
				env: []string{
					"REDIS_URL=" + redis, "DATABASE_URL=" + database, fmt.Sprintf("PORT=%d", port),
					"TRADING_API_URL=http://127.0.0.1:1", "CALLBACK_SECRET=a-secret-of-the-bench", "EVENT_SEALS=off", "K_SINK=http://127.0.0.1:1/a/b",
					"WEBHOOK_BASE_URL=http://127.0.0.1:1",
				},
			}
			p.ready = fmt.Sprintf("http://127.0.0.1:%d/readyz", port)
			p.spin() // store migrates the first time
			// One probe after the other: what the last process leaves behind in
			// PostgreSQL takes its time, too.
			for _, probe := range []struct{ path, unit string }{{"/healthz", "ms/ready"}, {"/readyz", "ms/stores"}} {
				p.ready = fmt.Sprintf("http://127.0.0.1:%d%s", port, probe.path)
				var all time.Duration
				for range b.N {
					all += p.spin()
				}
				b.ReportMetric(float64(all.Microseconds())/1000/float64(b.N), probe.unit)
			}
			b.ReportMetric(0, "ns/op") // it includes the end
		})
	}
}

// spin lives until the process is ready, and tells how long that took.
func (p *process) spin() time.Duration {
	began := time.Now()
	require.NoError(p.t, p.start())
	defer p.stop(syscall.SIGKILL)
	deadline := began.Add(time.Minute)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for ; time.Now().Before(deadline); <-tick.C {
		resp, err := http.Get(p.ready)
		if err != nil {
			continue
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return time.Since(began)
		}
	}
	require.FailNow(p.t, "not ready", "%s said last:\n%s", p.name, p.tail())
	return 0
}
