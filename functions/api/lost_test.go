package api_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs/jobstest"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/wait"
)

// lost restores what the job store has open.
type lost struct{ *jobstest.World }

func (l lost) Find(_ context.Context, id string) (job.Job, error) {
	if err := l.Fails("database"); err != nil {
		return job.Job{}, err
	}
	j, ok := l.Jobs[id]
	if !ok {
		return job.Job{}, jobstore.ErrNotFound
	}
	l.Set(func() {
		l.Records[id] = wait.Record{Header: j.Header(), State: wait.Waiting}
		l.Acts = append(l.Acts, "restore "+id)
	})
	return j, nil
}

// A job whose record went with its Redis can be cancelled like any other.
func TestCancelALostJob(t *testing.T) {
	t.Parallel()
	w := jobstest.New()
	s := w.Service(t, "")
	s.Lost = lost{w}
	_, h := serve(t, s)
	j, foreign := w.Stored("default", job.Running), w.Stored("other", job.Running)
	w.Broken["database"] = true
	require.Equal(t, 503, jobstest.Call(h, "POST", "/api/jobs/"+j.JobID+"/cancel").Code, "ask again")
	w.Broken["database"] = false
	require.Equal(t, 202, jobstest.Call(h, "POST", "/api/jobs/"+j.JobID+"/cancel").Code)
	require.Equal(t, 404, jobstest.Call(h, "POST", "/api/jobs/"+foreign.JobID+"/cancel").Code)
	require.Equal(t, []string{"restore " + j.JobID, "cancel " + j.JobID}, w.Acts, "another's is not touched")
}
