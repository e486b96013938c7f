package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs"
	"github.com/zixly/sweepline/shared/jobs/jobstest"
	"github.com/zixly/sweepline/shared/servers/servertest"
	"github.com/zixly/sweepline/shared/wait"
)

func TestMain(m *testing.M) { servertest.Main(m) }

// TestOnRealWaits: what happens in Redis comes out of the stream.
func TestOnRealWaits(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]func(testing.TB) string{"redis": servertest.Redis, "miniredis": servertest.Miniredis} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			waits, err := wait.Open(t.Context(), wait.Config{RedisURL: url(t), KeyPrefix: "sweepline:test:" + job.NewID() + ":"})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, waits.Close()) })
			head := job.Header{JobID: job.NewID(), TenantID: "default", JobType: job.Type, Parameters: jobstest.Sweep, CreatedAt: jobstest.Created}
			_, err = waits.Accept(t.Context(), head, "print")
			require.NoError(t, err)

			w := jobstest.New()
			d := w.Deps(t, "")
			d.Waits = waits
			s, err := jobs.New(jobs.Config{Heartbeat: time.Second, MaxStreams: 2}, d)
			require.NoError(t, err)
			_, h := serve(t, s)

			require.Equal(t, head.Parameters, jobstest.Decode[job.Job](t, jobstest.Call(h, "GET", "/webhook/jobs/"+head.JobID)).Parameters)
			stream, code := jobstest.Open(t, h, head.JobID, "")
			require.Equal(t, http.StatusOK, code)
			stream.Want("status", "0", `{"job_id":"`+head.JobID+`","status":"QUEUED","display_status":"QUEUED","progress":0}`)
			require.Equal(t, http.StatusAccepted, jobstest.Call(h, "POST", "/api/jobs/"+head.JobID+"/cancel").Code)
			stream.Want("status", "2000", `{"job_id":"`+head.JobID+`","status":"FAILED","display_status":"CANCELLED","progress":0}`)
			got := jobstest.Decode[job.Job](t, jobstest.Call(h, "GET", "/webhook/jobs/"+head.JobID))
			require.Equal(t, job.Cancelled, got.ErrorCode)
			require.Equal(t, http.StatusConflict, jobstest.Call(h, "POST", "/api/jobs/"+head.JobID+"/cancel").Code)
			w.Set(func() {
				got.Status = job.Failed
				w.Jobs[head.JobID] = got
			})
			name, _, _ := stream.Next()
			require.Equal(t, "result", name)
		})
	}
}
