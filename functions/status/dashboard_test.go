package status_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions/status"
	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/enqueue"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/wait"
)

// pipes is a broker of one Trigger.
type pipes struct{ *world }

func (p pipes) Streams(context.Context) ([]broker.StreamInfo, error) {
	return []broker.StreamInfo{{Namespace: "n", Broker: "b", Entries: 7}}, p.fails("redis")
}

func (p pipes) Triggers(context.Context) ([]broker.TriggerInfo, error) {
	return []broker.TriggerInfo{{Namespace: "n", Broker: "b", Name: "store", Retries: 1, OldestAge: 90 * time.Second}}, p.fails("redis")
}

func (p pipes) Retries(context.Context, string, string, string, int) ([]broker.Retry, error) {
	return []broker.Retry{{Trigger: "store", EventType: "com.zixly.sweep.completed.v1", Attempts: 2, Code: 500, Reason: `{"error":"disk <full>"}`, Due: created}}, nil
}

func (p pipes) act(word, namespace, b, trigger string) error {
	if namespace+"/"+b+"/"+trigger != "n/b/store" {
		return broker.ErrNotFound
	}
	p.set(func() { p.acts = append(p.acts, word) })
	return p.fails("redis")
}

func (p pipes) Pause(_ context.Context, n, b, t string) error  { return p.act("pause", n, b, t) }
func (p pipes) Resume(_ context.Context, n, b, t string) error { return p.act("resume", n, b, t) }
func (p pipes) ReplayFrom(_ context.Context, n, b, t string, since time.Time) error {
	return p.act("replay "+since.UTC().Format(time.RFC3339), n, b, t)
}

func (p pipes) Count(context.Context) (wait.Counts, error) {
	return wait.Counts{Slots: 3, Parked: 12}, p.fails("redis")
}
func (p pipes) Config() wait.Config          { return wait.Config{MaxConcurrent: 5} }
func (p pipes) Health(context.Context) error { return p.fails("trading") }

func withBroker(t *testing.T, keys string, operators ...string) (*world, http.Handler) {
	t.Helper()
	w, _, _ := setup(t, keys)
	k, err := auth.New(auth.Config{Keys: keys})
	require.NoError(t, err)
	f, err := status.New(status.Config{
		Heartbeat: time.Second, MaxStreams: 2, Operators: operators, Pulse: 10 * time.Millisecond, TraceURL: "https://traces.example/t/{trace_id}",
	}, status.Deps{
		Jobs: books{w}, Waits: records{w}, Cancel: records{w}, Enqueuer: w, Letters: mail{w}, Keys: k,
		Broker: pipes{w}, Slots: pipes{w}, Trading: pipes{w}, Now: func() time.Time { return created },
	})
	require.NoError(t, err)
	h, err := function.Handler("status", f, prometheus.NewRegistry())
	require.NoError(t, err)
	return w, h
}

func TestBrokerAPI(t *testing.T) {
	t.Parallel()
	w, h := withBroker(t, "")
	body := decode[struct {
		Streams  []broker.StreamInfo
		Triggers []broker.TriggerInfo
	}](t, call(h, "GET", "/api/broker"))
	require.EqualValues(t, 7, body.Streams[0].Entries)
	require.Equal(t, "store", body.Triggers[0].Name)

	at := "/api/broker/triggers/n/b/store/"
	require.Equal(t, 202, call(h, "POST", at+"pause").Code)
	require.Equal(t, 202, call(h, "POST", at+"resume").Code)
	require.Equal(t, 202, call(h, "POST", at+"replay?since=90m").Code)
	require.Equal(t, 202, call(h, "POST", at+"replay?since=2026-01-01T00:00:00%2B01:00").Code)
	require.Equal(t, []string{"pause", "resume", "replay 2026-01-02T01:34:05Z", "replay 2025-12-31T23:00:00Z"}, w.acts)
	for _, since := range []string{"", "yesterday", "-5m", "2027-01-01T00:00:00Z", "0001-01-01T00:00:00Z"} {
		r := call(h, "POST", at+"replay?since="+since)
		require.Equal(t, 400, r.Code, since)
		require.Equal(t, "since", decode[struct{ Details []job.Problem }](t, r).Details[0].Field)
	}
	require.Equal(t, 404, call(h, "POST", "/api/broker/triggers/n/b/other/pause").Code)
	require.Equal(t, 405, call(h, "GET", at+"pause").Code)
	require.Len(t, w.acts, 4)
	w.broken["redis"] = true
	require.Equal(t, 503, call(h, "GET", "/api/broker").Code)
	require.Equal(t, 503, call(h, "POST", at+"pause").Code)
}

func TestOnlyOperatorsSteerTheBroker(t *testing.T) {
	t.Parallel()
	w, h := withBroker(t, "acme:one,default:two,ops:three", "ops")
	for _, c := range [][2]string{
		{"GET", "/api/broker"}, {"GET", "/broker"}, {"POST", "/api/broker/triggers/n/b/store/pause"},
		{"POST", "/broker/triggers/n/b/store/pause"}, {"POST", "/api/broker/triggers/n/b/store/replay?since=1h"},
	} {
		require.Equal(t, 401, call(h, c[0], c[1]).Code, c)
		require.Equal(t, 403, call(h, c[0], c[1], "X-API-Key", "one").Code, c)
		require.Equal(t, 403, call(h, c[0], c[1], "X-API-Key", "two").Code, "default is a tenant as any other")
	}
	require.Empty(t, w.acts)
	require.Equal(t, 200, call(h, "GET", "/broker", "X-API-Key", "three").Code)
	require.Equal(t, 202, call(h, "POST", "/api/broker/triggers/n/b/store/pause", "X-API-Key", "three").Code)
	require.NotContains(t, call(h, "GET", "/", "X-API-Key", "one").Body.String(), `href="/broker"`)
	require.Contains(t, call(h, "GET", "/", "X-API-Key", "three").Body.String(), `href="/broker"`)

	// An operator sees letters of no tenant, and none of another's.
	w.letters = []broker.DeadLetter{letter("a", "acme", created), letter("n", "", created)}
	require.NotContains(t, call(h, "GET", "/api/dead-letters", "X-API-Key", "three").Body.String(), `"id":"a"`)
	require.Contains(t, call(h, "GET", "/api/dead-letters", "X-API-Key", "three").Body.String(), `"id":"n"`)
	require.NotContains(t, call(h, "GET", "/api/dead-letters", "X-API-Key", "one").Body.String(), `"id":"n"`)
}

func TestBrokerPage(t *testing.T) {
	t.Parallel()
	w, h := withBroker(t, "")
	page := call(h, "GET", "/broker").Body.String()
	for _, want := range []string{"3 of 5", "12 in line", "Trading API", "1 min 30 s", "disk &lt;full&gt;", "Pause store"} {
		require.Contains(t, page, want)
	}
	require.NotContains(t, page, "does not answer")
	r := call(h, "POST", "/broker/triggers/n/b/store/pause")
	require.Equal(t, "/broker?done=pause", r.Header().Get("Location"))
	require.Contains(t, call(h, "GET", "/broker?done=pause").Body.String(), "Events wait in the stream")
	require.Equal(t, 303, form(h, "/broker/triggers/n/b/store/replay", url.Values{"since": {"15m"}}).Code)
	require.Equal(t, 404, form(h, "/broker/triggers/n/b/other/resume", nil).Code)
	w.broken["trading"] = true
	require.Equal(t, 1, strings.Count(call(h, "GET", "/broker").Body.String(), "does not answer"))
	w.broken["redis"] = true
	page = call(h, "GET", "/broker").Body.String()
	require.Contains(t, page, "cannot be read now")
	require.NotContains(t, page, "10.0.0.7")
}

func TestLettersPage(t *testing.T) {
	t.Parallel()
	w, h := withBroker(t, "acme:one,globex:two")
	for _, id := range []string{"a", "b", "c"} {
		w.letters = append(w.letters, letter(id, "acme", created))
	}
	w.letters = append(w.letters, letter("x", "globex", created))
	send := func(v url.Values) string {
		login := form(h, "/login", url.Values{"key": {"one"}}).Result().Cookies()
		r := form(h, "/dead-letters", v, login...)
		return r.Header().Get("Location")
	}
	page := call(h, "GET", "/dead-letters", "X-API-Key", "one").Body.String()
	require.Contains(t, page, `value="a"`)
	require.NotContains(t, page, `value="x"`)
	require.Equal(t, "/dead-letters?did=redrive&n=2", send(url.Values{"act": {"redrive"}, "id": {"a", "b"}}))
	require.Equal(t, "/dead-letters?did=discard&n=1", send(url.Values{"discard": {"c"}, "id": {"a", "b"}}), "the button of a row means that row")
	require.Equal(t, "/dead-letters?did=redrive&gone=2&n=0", send(url.Values{"act": {"redrive"}, "id": {"x", "zz"}}))
	require.Empty(t, send(url.Values{"act": {"eat"}, "id": {"a"}}))
	require.Equal(t, []string{"redrive a", "redrive b", "discard c"}, w.acts)
	for query, want := range map[string]string{
		"did=redrive&n=2": "2 events were sent again.", "did=discard&n=1&gone=1": "1 event was discarded. 1 was not there any more.",
		"did=discard&n=0": "Nothing was ticked", "did=%3Cb%3E&n=1": `role="status"></p>`,
	} {
		require.Contains(t, call(h, "GET", "/dead-letters?"+query, "X-API-Key", "one").Body.String(), want)
	}
	require.Equal(t, 400, call(h, "GET", "/dead-letters?cursor=x", "X-API-Key", "one").Code)
}

func TestNewSweep(t *testing.T) {
	t.Parallel()
	w, h := withBroker(t, "")
	good := url.Values{
		"ticker": {" DAX "}, "fast_from": {"10"}, "fast_to": {"20"}, "slow_from": {"30"}, "slow_to": {"60"}, "step": {"5"},
		"min_trades": {""}, "strategy_type": {"MACD"}, "config_path": {""}, "key": {"0190a6f0-0000-7000-8000-000000000001"},
	}
	require.Contains(t, call(h, "GET", "/new?"+good.Encode()).Body.String(), "<strong>21</strong> combinations")
	bad := url.Values{"ticker": {"<b>"}, "fast_from": {"1.5"}, "slow_from": {"30"}, "slow_to": {"20"}, "step": {"0"}, "min_trades": {"9"}, "strategy_type": {"X"}}
	r := form(h, "/new", bad)
	require.Equal(t, 422, r.Code)
	page := r.Body.String()
	require.Contains(t, page, "6 fields need another look")
	for _, want := range []string{"must be two whole numbers", "its first number must not be above its second", "must be 1 to 50", "must be 10 to 1000", `value="&lt;b&gt;"`} {
		require.Contains(t, page, want)
	}
	require.Contains(t, call(h, "GET", "/new?check=1&"+bad.Encode()).Body.String(), "must be 1 to 50")
	require.Empty(t, w.taken)

	require.Equal(t, 303, form(h, "/new", good).Code)
	require.Equal(t, 303, form(h, "/new", good).Code)
	require.Equal(t, job.Sweep{Ticker: "DAX", FastRange: [2]int{10, 20}, SlowRange: [2]int{30, 60}, Step: 5, MinTrades: 50, StrategyType: "MACD"}, w.taken[0].Sweep)
	require.Equal(t, w.taken[0], w.taken[1], "a double click asks for the same job")
	require.True(t, strings.HasPrefix(w.taken[0].Key, "form\n"), "apart from the webhook's keys")

	w.takeErr = enqueue.ErrConflict
	r = form(h, "/new", good)
	require.Equal(t, 409, r.Code)
	require.NotContains(t, r.Body.String(), good.Get("key"), "another job needs another key")
	w.takeErr = errGone
	r = form(h, "/new", good)
	require.Equal(t, 503, r.Code)
	require.Contains(t, r.Body.String(), good.Get("key"), "sent again it is the same job")
	require.NotContains(t, r.Body.String(), "10.0.0.7")
}

func TestPagesRefuseOtherSites(t *testing.T) {
	t.Parallel()
	w, h := withBroker(t, "")
	for _, path := range []string{"/new", "/dead-letters", "/broker/triggers/n/b/store/pause", "/api/broker/triggers/n/b/store/pause"} {
		require.Equal(t, 403, call(h, "POST", path, "Sec-Fetch-Site", "cross-site").Code, path)
	}
	require.Empty(t, w.acts)
}

func TestJobsPageFilters(t *testing.T) {
	t.Parallel()
	w, h := withBroker(t, "")
	head := w.recorded("default")
	w.set(func() {
		w.jobs[head.JobID] = job.Job{JobID: head.JobID, TenantID: "default", Status: job.Queued, Parameters: sweep, CreatedAt: created}
		rec := w.records[head.JobID]
		rec.Place = 4
		w.records[head.JobID] = rec
	})
	page := call(h, "GET", "/?within=1h&q=x&until=2026-01-02T03:00").Body.String()
	require.Contains(t, page, "number 4 in line")
	require.Contains(t, page, "3 of 5 slots in use")
	require.Equal(t, created.Add(-time.Hour).Truncate(time.Minute), w.query.Since)
	require.Equal(t, time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC), w.query.Until)
	require.Contains(t, page, `href="/?q=x&amp;status=FAILED&amp;until=2026-01-02T03%3A00&amp;within=1h"`, "a tab keeps the other filters")
	require.Equal(t, 400, call(h, "GET", "/?since=soon").Code)
	w.broken["redis"] = true
	page = call(h, "GET", "/").Body.String()
	require.Contains(t, page, head.JobID, "the list needs no Redis")
	require.NotContains(t, page, "in line")
}

func TestOverviewStream(t *testing.T) {
	t.Parallel()
	w, h := withBroker(t, "acme:one,globex:two")
	s, code := openPath(t, h, "/api/stream", "X-API-Key", "one")
	require.Equal(t, 200, code)
	s.want("jobs", "", `{"counts":{},"open":[]}`)
	w.stored("globex", job.Running)
	j := w.stored("acme", job.Failed)
	s.want("jobs", "", `{"counts":{"FAILED":1},"open":[],"latest":"`+j.JobID+`"}`)
	require.Equal(t, 401, call(h, "GET", "/api/stream").Code)
}
