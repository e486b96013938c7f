package jobs_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs"
	"github.com/zixly/sweepline/shared/jobs/jobstest"
	"github.com/zixly/sweepline/shared/wait"
)

// setup serves what pages link to.
func setup(t *testing.T) (*jobstest.World, *jobs.Service, http.Handler) {
	t.Helper()
	w := jobstest.New()
	s := w.Service(t, "")
	mux := http.NewServeMux()
	s.Linked(mux)
	return w, s, s.Guard(mux)
}

func TestStreamTellsAJobFromBeginningToEnd(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t)
	head := w.Recorded("default")
	id := head.JobID
	s, code := jobstest.Open(t, h, id, "")
	require.Equal(t, 200, code)
	s.Want("status", "0", `{"job_id":"`+id+`","status":"QUEUED","display_status":"QUEUED","progress":0}`)
	w.Changes <- wait.Record{Header: head, Place: 3}
	s.Want("status", "0", `{"job_id":"`+id+`","status":"QUEUED","display_status":"QUEUED","progress":0,"place":3}`)
	w.Changes <- jobstest.Running(head, 0)
	s.Want("status", "1000", `{"job_id":"`+id+`","status":"RUNNING","display_status":"RUNNING","progress":0}`)
	w.Changes <- jobstest.Running(head, 40)
	s.Want("progress", "1040", `{"job_id":"`+id+`","progress":40}`)
	w.Changes <- jobstest.Running(head, 40) // says nothing new
	w.Changes <- jobstest.Running(head, 20) // never goes back
	w.Changes <- jobstest.Running(head, 60)
	s.Want("progress", "1060", `{"job_id":"`+id+`","progress":60}`)

	// The wait record knows the end first; the result is shown once stored.
	w.Set(func() {
		w.Jobs[id] = job.Job{JobID: id, TenantID: "default", Status: job.Completed, Progress: 100, CreatedAt: jobstest.Created, Results: []job.Row{{FastPeriod: 10}}}
	})
	w.Changes <- jobstest.Ended(head)
	s.Want("status", "2000", `{"job_id":"`+id+`","status":"COMPLETED","display_status":"COMPLETED","progress":100}`)
	name, eventID, data := s.Next()
	require.Equal(t, "result 3000", name+" "+eventID)
	var j job.Job
	require.NoError(t, json.Unmarshal([]byte(data), &j))
	require.Equal(t, 10, j.Results[0].FastPeriod)
	name, _, _ = s.Next()
	require.Empty(t, name, "nothing follows the result")
}

func TestStreamWaitsForTheJobStore(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t)
	head := w.Recorded("default")
	s, _ := jobstest.Open(t, h, head.JobID, "0")
	w.Set(func() { w.Records[head.JobID] = jobstest.Ended(head) })
	w.Changes <- jobstest.Ended(head)
	s.Want("status", "1100", `{"job_id":"`+head.JobID+`","status":"RUNNING","display_status":"RUNNING","progress":100}`)
	w.Set(func() {
		w.Jobs[head.JobID] = job.Job{JobID: head.JobID, TenantID: "default", Status: job.Completed, CreatedAt: jobstest.Created, Results: []job.Row{}}
	})
	name, _, _ := s.Next()
	require.Equal(t, "status", name)
	name, _, _ = s.Next()
	require.Equal(t, "result", name)
}

func TestStreamResumes(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t)
	done := w.Stored("default", job.Completed)
	s, _ := jobstest.Open(t, h, done.JobID, "1040")
	name, id, _ := s.Next()
	require.Equal(t, "status 2000", name+" "+id)
	s, _ = jobstest.Open(t, h, done.JobID, "2000")
	name, id, _ = s.Next()
	require.Equal(t, "result 3000", name+" "+id)
	_, code := jobstest.Open(t, h, done.JobID, "3000")
	require.Equal(t, 204, code, "a browser must not come back for ever")

	head := w.Recorded("default")
	w.Set(func() { w.Records[head.JobID] = jobstest.Running(head, 40) })
	s, _ = jobstest.Open(t, h, head.JobID, "1040")
	w.Changes <- jobstest.Running(head, 50)
	s.Want("progress", "1050", `{"job_id":"`+head.JobID+`","progress":50}`)
}

func TestStreamHeartbeatsAndDrains(t *testing.T) {
	t.Parallel()
	w, svc, h := setup(t)
	w.Broken["redis"] = false
	s, _ := jobstest.Open(t, h, w.Recorded("default").JobID, "")
	beats := 0
	for beats < 3 && s.Lines.Scan() {
		if s.Lines.Text() == ": alive" {
			beats++
		}
	}
	require.Equal(t, 3, beats)
	svc.Drain()
	svc.Drain()          // and again
	for s.Lines.Scan() { //nolint:revive // reads on to the end
	}
	require.NoError(t, s.Lines.Err(), "an orderly end")
}

func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	w, svc, h := setup(t)
	id := w.Recorded("default").JobID
	one, _ := jobstest.Open(t, h, id, "")
	two, _ := jobstest.Open(t, h, id, "")
	one.Next()
	two.Next()
	r := jobstest.Call(h, "GET", "/api/jobs/"+id+"/stream")
	require.Equal(t, 503, r.Code)
	require.Equal(t, "5", r.Header().Get("Retry-After"))
	svc.Drain()
}

// TestStreamsEndWithTheirSession: of a job and of the list; those of others go on.
func TestStreamsEndWithTheirSession(t *testing.T) {
	t.Parallel()
	w := jobstest.New()
	s := w.Shared(t, "acme:one,globex:two", jobs.Config{MaxStreams: 8})
	mux := http.NewServeMux()
	s.Linked(mux)
	signIn := func() *http.Cookie {
		in := httptest.NewRecorder()
		require.NoError(t, s.Sessions.Begin(in, httptest.NewRequest(http.MethodPost, "/login", http.NoBody), "one"))
		return in.Result().Cookies()[0]
	}
	head := w.Recorded("acme")
	one, other := signIn(), signIn()
	open := func(path string, c *http.Cookie) *jobstest.Events {
		e, code := jobstest.OpenPath(t, mux, path, "Cookie", c.Name+"="+c.Value)
		require.Equal(t, 200, code)
		name, _, _ := e.Next()
		require.NotEmpty(t, name)
		return e
	}
	ofJob, list, goesOn := open("/api/jobs/"+head.JobID+"/stream", one), open("/api/stream", one), open("/api/stream", other)
	out := httptest.NewRequest(http.MethodPost, "/logout", http.NoBody)
	out.AddCookie(one)
	require.NoError(t, s.Sessions.End(httptest.NewRecorder(), out))
	for _, e := range []*jobstest.Events{ofJob, list} {
		name, _, _ := e.Next()
		require.Empty(t, name)
		require.NoError(t, e.Lines.Err(), "ended by the server")
	}
	w.Stored("acme", job.Failed)
	name, _, _ := goesOn.Next()
	require.Equal(t, "jobs", name)
}
