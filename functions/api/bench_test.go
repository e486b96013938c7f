package api_test

import (
	"log/slog"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/jobs"
	"github.com/zixly/sweepline/shared/jobs/jobstest"
)

// BenchmarkList lists the first of 100 000 jobs: that must take less than 100 ms.
func BenchmarkList(b *testing.B) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	jobstest.Filled(b, func(b *testing.B, s *jobs.Service, _, _ string) {
		_, h := serve(b, s)
		for b.Loop() {
			r := jobstest.Call(h, "GET", "/api/jobs")
			require.Equal(b, http.StatusOK, r.Code)
			b.ReportMetric(float64(r.Body.Len())/1024, "KiB")
		}
	})
}
