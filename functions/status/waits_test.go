package status_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions/status"
	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
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
			head := job.Header{JobID: job.NewID(), TenantID: "default", JobType: job.Type, Parameters: sweep, CreatedAt: created}
			_, err = waits.Accept(t.Context(), head, "print")
			require.NoError(t, err)

			w, _, _ := setup(t, "")
			keys, err := auth.New(auth.Config{})
			require.NoError(t, err)
			f, err := status.New(status.Config{Heartbeat: time.Second, MaxStreams: 2}, status.Deps{
				Jobs: books{w}, Waits: waits, Cancel: waits, Enqueuer: w, Letters: mail{w}, Keys: keys,
			})
			require.NoError(t, err)
			h, err := function.Handler("status", f, prometheus.NewRegistry())
			require.NoError(t, err)

			require.Equal(t, head.Parameters, decode[job.Job](t, call(h, "GET", "/webhook/jobs/"+head.JobID)).Parameters)
			s, code := open(t, h, head.JobID, "")
			require.Equal(t, http.StatusOK, code)
			s.want("status", "0", `{"job_id":"`+head.JobID+`","status":"QUEUED","progress":0}`)
			require.Equal(t, http.StatusAccepted, call(h, "POST", "/api/jobs/"+head.JobID+"/cancel").Code)
			s.want("status", "2000", `{"job_id":"`+head.JobID+`","status":"FAILED","progress":0}`)
			got := decode[job.Job](t, call(h, "GET", "/webhook/jobs/"+head.JobID))
			require.Equal(t, job.Cancelled, got.ErrorCode)
			require.Equal(t, http.StatusConflict, call(h, "POST", "/api/jobs/"+head.JobID+"/cancel").Code)
			w.set(func() {
				got.Status = job.Failed
				w.jobs[head.JobID] = got
			})
			name, _, _ := s.next()
			require.Equal(t, "result", name)
		})
	}
}
