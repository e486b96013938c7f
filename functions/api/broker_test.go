package api_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs/jobstest"
)

func operated(t *testing.T, keys string, operators ...string) (*jobstest.World, http.Handler) {
	t.Helper()
	w := jobstest.New()
	_, h := serve(t, w.OperatedService(t, keys, operators...))
	return w, h
}

func TestBrokerAPI(t *testing.T) {
	t.Parallel()
	w, h := operated(t, "")
	body := jobstest.Decode[struct {
		Streams  []broker.StreamInfo
		Triggers []broker.TriggerInfo
	}](t, jobstest.Call(h, "GET", "/api/broker"))
	require.EqualValues(t, 7, body.Streams[0].Entries)
	require.Equal(t, "store", body.Triggers[0].Name)

	at := "/api/broker/triggers/n/b/store/"
	require.Equal(t, 202, jobstest.Call(h, "POST", at+"pause").Code)
	require.Equal(t, 202, jobstest.Call(h, "POST", at+"resume").Code)
	require.Equal(t, 202, jobstest.Call(h, "POST", at+"replay?since=90m").Code)
	require.Equal(t, 202, jobstest.Call(h, "POST", at+"replay?since=2026-01-01T00:00:00%2B01:00").Code)
	require.Equal(t, []string{"pause", "resume", "replay 2026-01-02T01:34:05Z", "replay 2025-12-31T23:00:00Z"}, w.Acts)
	for _, since := range []string{"", "yesterday", "-5m", "2027-01-01T00:00:00Z", "0001-01-01T00:00:00Z"} {
		r := jobstest.Call(h, "POST", at+"replay?since="+since)
		require.Equal(t, 400, r.Code, since)
		require.Equal(t, "since", jobstest.Decode[struct{ Details []job.Problem }](t, r).Details[0].Field)
	}
	require.Equal(t, 404, jobstest.Call(h, "POST", "/api/broker/triggers/n/b/other/pause").Code)
	require.Equal(t, 405, jobstest.Call(h, "GET", at+"pause").Code)
	require.Len(t, w.Acts, 4)
	w.Broken["redis"] = true
	require.Equal(t, 503, jobstest.Call(h, "GET", "/api/broker").Code)
	require.Equal(t, 503, jobstest.Call(h, "POST", at+"pause").Code)
}

func TestOnlyOperatorsSteerTheBroker(t *testing.T) {
	t.Parallel()
	w, h := operated(t, "acme:one,default:two,ops:three", "ops")
	for _, c := range [][2]string{
		{"GET", "/api/broker"}, {"POST", "/api/broker/triggers/n/b/store/pause"}, {"POST", "/api/broker/triggers/n/b/store/replay?since=1h"},
	} {
		require.Equal(t, 401, jobstest.Call(h, c[0], c[1]).Code, c)
		require.Equal(t, 403, jobstest.Call(h, c[0], c[1], "X-API-Key", "one").Code, c)
		require.Equal(t, 403, jobstest.Call(h, c[0], c[1], "X-API-Key", "two").Code, "default is a tenant as any other")
	}
	require.Empty(t, w.Acts)
	require.Equal(t, 202, jobstest.Call(h, "POST", "/api/broker/triggers/n/b/store/pause", "X-API-Key", "three").Code)

	// An operator sees letters of no tenant, and none of another's.
	w.DeadLetters = []broker.DeadLetter{jobstest.DeadLetter("a", "acme", jobstest.Created), jobstest.DeadLetter("n", "", jobstest.Created)}
	require.NotContains(t, jobstest.Call(h, "GET", "/api/dead-letters", "X-API-Key", "three").Body.String(), `"id":"a"`)
	require.Contains(t, jobstest.Call(h, "GET", "/api/dead-letters", "X-API-Key", "three").Body.String(), `"id":"n"`)
	require.NotContains(t, jobstest.Call(h, "GET", "/api/dead-letters", "X-API-Key", "one").Body.String(), `"id":"n"`)
}

func TestOverviewStream(t *testing.T) {
	t.Parallel()
	w, h := operated(t, "acme:one,globex:two")
	s, code := jobstest.OpenPath(t, h, "/api/stream", "X-API-Key", "one")
	require.Equal(t, 200, code)
	s.Want("jobs", "", `{"counts":{},"open":[]}`)
	w.Stored("globex", job.Running)
	j := w.Stored("acme", job.Failed)
	s.Want("jobs", "", `{"counts":{"FAILED":1},"open":[],"latest":"`+j.JobID+`"}`)
	require.Equal(t, 401, jobstest.Call(h, "GET", "/api/stream").Code)
}
