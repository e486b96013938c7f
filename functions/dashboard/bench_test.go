package dashboard_test

import (
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions/dashboard"
	"github.com/zixly/sweepline/shared/jobs"
	"github.com/zixly/sweepline/shared/jobs/jobstest"
	"github.com/zixly/sweepline/shared/jobstore/jobstoretest"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

// BenchmarkPages renders pages of 100 000 jobs: a page must take less than 100 ms.
func BenchmarkPages(b *testing.B) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	jobstest.Filled(b, func(b *testing.B, s *jobs.Service, middle, done string) {
		_, h := serve(b, dashboard.Config{}, s, dashboard.Deps{})
		for name, path := range map[string]string{
			"first": "/", "middle": "/?cursor=" + middle, "status": "/?status=FAILED", "ticker": "/?ticker=SMI&status=RUNNING",
			"text": "/?q=cac", "no match": "/?q=nowhere", "time": "/?since=" + jobstoretest.Start.Add(10*time.Hour).Format("2006-01-02T15:04"),
			"job of 20000 rows": "/jobs/" + done, "sorted rows": "/jobs/" + done + "?sort=win_rate_pct&from=10000",
		} {
			b.Run(name, func(b *testing.B) {
				for b.Loop() {
					r := jobstest.Call(h, "GET", path)
					require.Equal(b, http.StatusOK, r.Code)
					b.ReportMetric(float64(r.Body.Len())/1024, "KiB")
				}
			})
		}
	})
}
