package status_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/wait"
)

// events reads a stream: "event id data" each, and "alive" for a heartbeat.
type events struct {
	t    *testing.T
	scan *bufio.Scanner
}

func open(t *testing.T, h http.Handler, id, last string) (*events, int) {
	t.Helper()
	if last == "" {
		return openPath(t, h, "/api/jobs/"+id+"/stream")
	}
	return openPath(t, h, "/api/jobs/"+id+"/stream", "Last-Event-ID", last)
}

func openPath(t *testing.T, h http.Handler, path string, header ...string) (*events, int) {
	t.Helper()
	srv := httptest.NewServer(h)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(func() { cancel(); srv.CloseClientConnections(); srv.Close() })
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+path, http.NoBody)
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	return &events{t, bufio.NewScanner(resp.Body)}, resp.StatusCode
}

// next gives the next event, heartbeats left out; "" at the end.
func (e *events) next() (name, id, data string) {
	for e.scan.Scan() {
		field, value, _ := strings.Cut(e.scan.Text(), ": ")
		switch field {
		case "event":
			name = value
		case "id":
			id = value
		case "data":
			data = value
		}
		if e.scan.Text() == "" && name != "" {
			return name, id, data
		}
	}
	return "", "", ""
}

func (e *events) want(name, id, data string) {
	e.t.Helper()
	gotName, gotID, gotData := e.next()
	require.Equal(e.t, name+" "+id, gotName+" "+gotID)
	require.JSONEq(e.t, data, gotData)
}

func TestStreamTellsAJobFromBeginningToEnd(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	head := w.recorded("default")
	id := head.JobID
	s, code := open(t, h, id, "")
	require.Equal(t, 200, code)
	s.want("status", "0", `{"job_id":"`+id+`","status":"QUEUED","progress":0}`)
	w.changes <- wait.Record{Header: head, Place: 3}
	s.want("status", "0", `{"job_id":"`+id+`","status":"QUEUED","progress":0,"place":3}`)
	w.changes <- running(head, 0)
	s.want("status", "1000", `{"job_id":"`+id+`","status":"RUNNING","progress":0}`)
	w.changes <- running(head, 40)
	s.want("progress", "1040", `{"job_id":"`+id+`","progress":40}`)
	w.changes <- running(head, 40) // says nothing new
	w.changes <- running(head, 20) // never goes back
	w.changes <- running(head, 60)
	s.want("progress", "1060", `{"job_id":"`+id+`","progress":60}`)

	// The wait record knows the end first; the result is shown once stored.
	w.set(func() {
		w.jobs[id] = job.Job{JobID: id, TenantID: "default", Status: job.Completed, Progress: 100, CreatedAt: created, Results: []job.Row{{FastPeriod: 10}}}
	})
	w.changes <- ended(head)
	s.want("status", "2000", `{"job_id":"`+id+`","status":"COMPLETED","progress":100}`)
	name, eventID, data := s.next()
	require.Equal(t, "result 3000", name+" "+eventID)
	var j job.Job
	require.NoError(t, json.Unmarshal([]byte(data), &j))
	require.Equal(t, 10, j.Results[0].FastPeriod)
	name, _, _ = s.next()
	require.Empty(t, name, "nothing follows the result")
}

func TestStreamWaitsForTheJobStore(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	head := w.recorded("default")
	s, _ := open(t, h, head.JobID, "0")
	w.set(func() { w.records[head.JobID] = ended(head) })
	w.changes <- ended(head)
	s.want("status", "1100", `{"job_id":"`+head.JobID+`","status":"RUNNING","progress":100}`)
	w.set(func() {
		w.jobs[head.JobID] = job.Job{JobID: head.JobID, TenantID: "default", Status: job.Completed, CreatedAt: created, Results: []job.Row{}}
	})
	name, _, _ := s.next()
	require.Equal(t, "status", name)
	name, _, _ = s.next()
	require.Equal(t, "result", name)
}

func TestStreamResumes(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	done := w.stored("default", job.Completed)
	s, _ := open(t, h, done.JobID, "1040")
	name, id, _ := s.next()
	require.Equal(t, "status 2000", name+" "+id)
	s, _ = open(t, h, done.JobID, "2000")
	name, id, _ = s.next()
	require.Equal(t, "result 3000", name+" "+id)
	_, code := open(t, h, done.JobID, "3000")
	require.Equal(t, 204, code, "a browser must not come back for ever")

	head := w.recorded("default")
	w.set(func() { w.records[head.JobID] = running(head, 40) })
	s, _ = open(t, h, head.JobID, "1040")
	w.changes <- running(head, 50)
	s.want("progress", "1050", `{"job_id":"`+head.JobID+`","progress":50}`)
}

func TestStreamHeartbeatsAndDrains(t *testing.T) {
	t.Parallel()
	w, f, h := setup(t, "")
	w.broken["redis"] = false
	s, _ := open(t, h, w.recorded("default").JobID, "")
	beats := 0
	for beats < 3 && s.scan.Scan() {
		if s.scan.Text() == ": alive" {
			beats++
		}
	}
	require.Equal(t, 3, beats)
	f.Drain()
	f.Drain()           // and again
	for s.scan.Scan() { //nolint:revive // reads on to the end
	}
	require.NoError(t, s.scan.Err(), "an orderly end")
}

func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	w, f, h := setup(t, "")
	id := w.recorded("default").JobID
	one, _ := open(t, h, id, "")
	two, _ := open(t, h, id, "")
	one.next()
	two.next()
	r := call(h, "GET", "/api/jobs/"+id+"/stream")
	require.Equal(t, 503, r.Code)
	require.Equal(t, "5", r.Header().Get("Retry-After"))
	f.Drain()
}
