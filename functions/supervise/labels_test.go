package supervise

import (
	"fmt"
	"strings"
	"testing"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
)

// What events say never makes more series than there are labels for, nor longer ones.
func TestEventsDoNotGrowTheMetrics(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	m := newMetrics(reg)
	long := strings.Repeat("x", 30_000)
	send := func(i int, typ, tenant string, data any) {
		e := cloudevents.New()
		e.SetID(fmt.Sprintf("%s/%d", typ, i))
		e.SetSource("/s")
		e.SetType(typ)
		e.SetExtension(event.ExtTenant, tenant)
		require.NoError(t, e.SetData(cloudevents.ApplicationJSON, data))
		require.NoError(t, m.count(e))
	}
	for i := range 300 {
		h := job.Header{JobType: fmt.Sprint(i, long), TenantID: fmt.Sprint(i, long)}
		send(2*i, event.SweepRequested, h.TenantID, event.Requested{Header: h})
		h.TenantID = fmt.Sprint("tenant-", i)
		send(2*i+1, event.SweepRequested, h.TenantID, event.Requested{Header: h})
		seconds := 1.0
		send(i, event.JobCompleted, "t", event.Finished{Job: job.Job{TenantID: "t", JobType: fmt.Sprint(i), Status: job.State(fmt.Sprint(i, long)), DurationSeconds: &seconds}})
		send(1000+i, event.JobCompleted, "t", event.Finished{Job: job.Job{
			TenantID: "t", JobType: job.Type, Status: job.Completed, Ticker: fmt.Sprint(i, long), Metrics: &job.Metrics{Combinations: 1},
		}})
	}
	for name, most := range map[string]int{
		"pipeline_jobs_queued_total": maxSeries + 1, "pipeline_jobs_processed_total": 3, "pipeline_job_duration_seconds": 1,
		"pipeline_results_total": 1, "pipeline_best_score": 1,
	} {
		n, err := testutil.GatherAndCount(reg, name)
		require.NoError(t, err)
		require.LessOrEqual(t, n, most, name)
	}
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, series := range f.GetMetric() {
			for _, l := range series.GetLabel() {
				require.LessOrEqual(t, len(l.GetValue()), longestTenant, f.GetName())
			}
		}
	}
}
