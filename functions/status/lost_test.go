package status_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/wait"
)

// lost restores what the job store has open.
type lost struct{ *world }

func (l lost) Find(_ context.Context, id string) (job.Job, error) {
	if err := l.fails("database"); err != nil {
		return job.Job{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	j, ok := l.jobs[id]
	if !ok {
		return job.Job{}, jobstore.ErrNotFound
	}
	l.records[id] = wait.Record{Header: jobstore.HeaderOf(j), State: wait.Waiting}
	l.acts = append(l.acts, "restore "+id)
	return j, nil
}

// A job whose record went with its Redis can be cancelled like any other.
func TestCancelALostJob(t *testing.T) {
	t.Parallel()
	w, f, h := setup(t, "")
	f.Lost = lost{w}
	j, foreign := w.stored("default", job.Running), w.stored("other", job.Running)
	w.broken["database"] = true
	require.Equal(t, 503, call(h, "POST", "/api/jobs/"+j.JobID+"/cancel").Code, "ask again")
	w.broken["database"] = false
	require.Equal(t, 202, call(h, "POST", "/api/jobs/"+j.JobID+"/cancel").Code)
	require.Equal(t, 404, call(h, "POST", "/api/jobs/"+foreign.JobID+"/cancel").Code)
	require.Equal(t, []string{"restore " + j.JobID, "cancel " + j.JobID}, w.acts, "another's is not touched")
}
