package client_test

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions"
	"github.com/zixly/sweepline/functions/api"
	"github.com/zixly/sweepline/functions/receive"
	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/client"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/heatmap"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs"
	"github.com/zixly/sweepline/shared/jobs/jobstest"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/openapi"
	"github.com/zixly/sweepline/shared/openapi/openapitest"
)

// served are a client and the functions that it calls, on one port. What the client
// sends and what it is answered are held to the OpenAPI document.
type served struct {
	*client.Client

	world   *jobstest.World
	checker *openapitest.Checker
}

func setup(t *testing.T, keys, key string, operators ...string) served {
	t.Helper()
	w := jobstest.New()
	d := w.Deps(t, keys)
	d.Broker, d.Slots = jobstest.Broker{World: w}, jobstest.Broker{World: w}
	s, err := jobs.New(jobs.Config{Heartbeat: time.Second, MaxStreams: 9, Operators: operators, Refresh: 10 * time.Millisecond}, d)
	require.NoError(t, err)
	read, err := api.New(s)
	require.NoError(t, err)
	accept := receive.Config{BaseURL: "http://localhost:8080"}
	accept.Hosts = []string{"hooks.example.com"}
	take, err := receive.New(accept, w, d.Keys, nil)
	require.NoError(t, err)
	steps := map[string]http.Handler{}
	for name, f := range map[string]function.HTTPFunction{"api": read, "receive": take} {
		steps[name], err = function.Handler(name, f, prometheus.NewRegistry())
		require.NoError(t, err)
	}
	checker := openapitest.New(t).Requests()
	server := httptest.NewServer(checker.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		steps[functions.Owner(r.URL.Path)].ServeHTTP(w, r)
	})))
	t.Cleanup(func() { read.Drain(); server.Close() })
	c, err := client.New(server.URL+"/", key)
	require.NoError(t, err)
	return served{c, w, checker}
}

// TestEveryOperation calls all that the document describes for clients.
func TestEveryOperation(t *testing.T) {
	t.Parallel()
	s := setup(t, "acme:one", "one", "acme")
	ctx := t.Context()

	a, err := s.Submit(ctx, client.Request{Sweep: jobstest.Sweep, Labels: []string{"weekly"}, NotifyURL: "https://hooks.example.com/a"}, "monday-1")
	require.NoError(t, err)
	require.Equal(t, job.Queued, a.Status)
	require.Equal(t, "http://localhost:8080/api/jobs/"+a.JobID+"/stream", a.StreamURL)
	require.Equal(t, jobstest.Created, a.CreatedAt)
	require.Equal(t, jobstest.Sweep, s.world.Taken[0].Sweep)
	require.Equal(t, "monday-1", s.world.Taken[0].Key)
	require.Equal(t, []string{"weekly"}, s.world.Taken[0].Labels)
	require.Equal(t, "https://hooks.example.com/a", s.world.Taken[0].NotifyURL)
	tickers := client.Request{Sweep: jobstest.Sweep, Tickers: []string{"SMI", "CAC"}}
	tickers.Ticker = ""
	group, err := s.Submit(ctx, tickers, "")
	require.NoError(t, err)
	require.Equal(t, group.GroupID, group.Jobs[0].JobID)
	require.Equal(t, "CAC", group.Jobs[1].Ticker)
	require.Equal(t, "http://localhost:8080/api/jobs?group="+group.GroupID, group.StatusURL)
	require.Equal(t, "CAC", s.world.Taken[2].Sweep.Ticker)

	done, failed, open := s.world.Stored("acme", job.Completed), s.world.Stored("acme", job.Failed), s.world.Recorded("acme")
	got, err := s.Job(ctx, done.JobID)
	require.NoError(t, err)
	require.Equal(t, done, got.Job)
	p, err := s.Jobs(ctx, client.JobFilter{
		Status: []job.State{job.Completed, job.Failed}, Ticker: "DAX", Prefix: "019a8f", Text: "x", Group: a.JobID, Labels: []string{"weekly", "a"}, Limit: 7, Cursor: "c", Sort: client.BestFirst,
		Since: jobstest.Created, Until: jobstest.Created.Add(time.Hour),
	})
	require.NoError(t, err)
	require.Len(t, p.Jobs, 2)
	require.Equal(t, "next", p.NextCursor)
	q := s.world.Query
	require.Equal(t, []any{[]job.State{job.Completed, job.Failed}, "DAX", "x", jobstest.Created, jobstest.Created.Add(time.Hour), 7, "c", jobstore.BestFirst, a.JobID, []string{"weekly", "a"}, "019a8f"},
		[]any{q.Status, q.Ticker, q.Text, q.Since, q.Until, q.Limit, q.Cursor, q.Sort, q.Group, q.Labels, q.Prefix})

	s.world.Events[done.JobID] = []job.TimelineEvent{{ID: done.JobID + "/requested", Type: "t", Time: jobstest.Created, Data: map[string]any{"a": 1.0}}}
	events, err := s.Timeline(ctx, done.JobID)
	require.NoError(t, err)
	require.Equal(t, s.world.Events[done.JobID], events)
	s.world.Rows = []job.Row{{Ticker: "DAX"}, {Ticker: "DAX"}}
	rows, err := s.ResultsCSV(ctx, done.JobID, client.ResultFilter{})
	require.NoError(t, err)
	lines, err := csv.NewReader(rows).ReadAll()
	require.NoError(t, err)
	require.NoError(t, rows.Close())
	require.Len(t, lines, 3)

	page, err := s.Results(ctx, done.JobID, client.ResultFilter{Sort: "sharpe", Dir: "asc", Where: []string{"trades>=0", "score<5"}, Limit: 1, Offset: 1})
	require.NoError(t, err)
	require.Equal(t, []any{done.JobID, job.Completed, 1, "sharpe_ratio", "asc", 1}, []any{page.JobID, page.Status, page.Offset, page.Sort, page.Dir, len(page.Results)})
	require.Len(t, s.world.RowQuery.Where, 2)
	n := 0
	for r, err := range s.AllResults(ctx, done.JobID, client.ResultFilter{}) {
		require.NoError(t, err)
		require.Equal(t, "DAX", r.Ticker)
		n++
	}
	require.Equal(t, 2, n)
	for range s.AllResults(ctx, done.JobID, client.ResultFilter{Limit: 1}) {
		n++
	}
	require.Equal(t, 3, n)

	surface, err := s.Surface(ctx, done.JobID)
	require.NoError(t, err)
	read, err := heatmap.ParseSurface(surface)
	require.NoError(t, err)
	require.Equal(t, 2, read.Rows)

	again, err := s.Retry(ctx, failed.JobID, "k")
	require.NoError(t, err)
	require.Equal(t, failed.JobID, again.RetryOf)
	cancelled, err := s.Cancel(ctx, open.JobID)
	require.NoError(t, err)
	require.Equal(t, job.Failed, cancelled.Status)

	many, err := s.Many(ctx, client.Bulk{Act: client.ActRetry, JobFilter: client.JobFilter{Ticker: "DAX", Limit: 5}, DryRun: true})
	require.NoError(t, err)
	require.True(t, many.DryRun)
	many, err = s.Many(ctx, client.Bulk{Act: client.ActCancel, IDs: []string{open.JobID, done.JobID}})
	require.NoError(t, err)
	require.Len(t, many.Jobs, 2)
	require.Equal(t, 1, many.Counts[client.Refused], "what has ended")

	s.world.DeadLetters = []broker.DeadLetter{jobstest.DeadLetter("b", "acme", jobstest.Created), jobstest.DeadLetter("a", "acme", jobstest.Created)}
	for i := range s.world.DeadLetters {
		s.world.DeadLetters[i].Trigger = "store"
	}
	causes, err := s.Causes(ctx, "store")
	require.NoError(t, err)
	require.Equal(t, 2, causes.Causes[0].Count)
	for _, act := range []client.LetterAct{client.ActRedrive, client.ActDiscard} {
		handled, err := s.ManyLetters(ctx, client.BulkLetters{Act: act, DeadLetterFilter: client.DeadLetterFilter{Cause: causes.Causes[0].Cause}, DryRun: true})
		require.NoError(t, err)
		require.Equal(t, 2, handled.Counts[client.Matches])
	}
	letters, err := s.DeadLetters(ctx, client.DeadLetterFilter{Trigger: "store", Limit: 1})
	require.NoError(t, err)
	require.Len(t, letters.DeadLetters, 1)
	letters, err = s.DeadLetters(ctx, client.DeadLetterFilter{Cursor: letters.NextCursor})
	require.NoError(t, err)
	require.Equal(t, "a", letters.DeadLetters[0].ID)
	l, err := s.DeadLetter(ctx, "b")
	require.NoError(t, err)
	require.Equal(t, jobstest.Created, l.Time)
	require.True(t, json.Valid(l.Event))
	sent, err := s.Redrive(ctx, "b")
	require.NoError(t, err)
	require.Equal(t, "b", sent.ID)
	_, err = s.Discard(ctx, "b")
	require.NoError(t, err)

	b, err := s.Broker(ctx)
	require.NoError(t, err)
	name := b.Triggers[0].TriggerName
	require.Equal(t, "n/b/store", name.String())
	require.Equal(t, 90*time.Second, b.Triggers[0].OldestAge)
	for _, act := range []func() (client.Steered, error){
		func() (client.Steered, error) { return s.Pause(ctx, name) },
		func() (client.Steered, error) { return s.Resume(ctx, name) },
		func() (client.Steered, error) { return s.Replay(ctx, name, "90m") },
	} {
		steered, err := act()
		require.NoError(t, err)
		require.Equal(t, "n/b/store", steered.Trigger)
	}

	var seen []client.Overview
	require.NoError(t, s.FollowJobs(ctx, client.Connection{}, func(o client.Overview) bool { seen = append(seen, o); return false }))
	require.Equal(t, 1, seen[0].Counts[job.Completed])
	waited, err := s.Wait(ctx, done.JobID)
	require.NoError(t, err)
	require.Equal(t, done, waited.Job)

	require.NoError(t, s.Ping(ctx))
	v, err := s.Version(ctx)
	require.NoError(t, err)
	require.NotEmpty(t, v.Go)
	document, err := s.OpenAPI(ctx)
	require.NoError(t, err)
	require.Equal(t, openapi.Document(), document)

	d, err := openapitest.Load()
	require.NoError(t, err)
	for _, o := range d.Operations() {
		if !slices.Contains([]string{"takeCallback", "getAcceptedJob", "getHealth", "getReadiness"}, o.ID) {
			done := slices.ContainsFunc(s.checker.Seen(o.ID), func(status int) bool { return status < 300 })
			require.True(t, done, "%s has no method that is tried here", o.ID)
		}
	}
}

func TestFollowAJob(t *testing.T) {
	t.Parallel()
	s := setup(t, "", "")
	head := s.world.Recorded("default")
	opened := 0
	var seen []client.Update
	go func() { s.world.Changes <- jobstest.Running(head, 40) }()
	require.NoError(t, s.FollowJob(t.Context(), head.JobID, client.Connection{Open: func() { opened++ }}, func(u client.Update) bool {
		seen = append(seen, u)
		return u.Progress < 40
	}))
	require.Equal(t, []client.Update{
		{JobID: head.JobID, Status: job.Queued, DisplayStatus: job.Queued},
		{JobID: head.JobID, Status: job.Running, DisplayStatus: job.Running, Progress: 40},
	}, seen)
	require.Equal(t, 1, opened)

	// The server closes the stream of a job that has ended: nothing is lost by that.
	done := s.world.Stored("default", job.Completed)
	for range 20 {
		on := client.Connection{Lost: func() { t.Error("lost") }}
		require.NoError(t, s.FollowJob(t.Context(), done.JobID, on, func(u client.Update) bool { return !u.Status.Terminal() }))
	}

	err := s.FollowJob(t.Context(), job.NewID(), client.Connection{}, func(client.Update) bool { return true })
	refused, ok := errors.AsType[*client.Error](err)
	require.True(t, ok, err)
	require.Equal(t, http.StatusNotFound, refused.Status)
}

// What was read is written as the API writes it.
func TestTimesAreWrittenAsTheAPIDoes(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 31, 13, 0, 0, 500_000_001, time.FixedZone("", 3600))
	whole := at.Truncate(time.Second)
	for _, v := range []any{
		client.Job{Job: job.Job{CreatedAt: at, StartedAt: &at, CompletedAt: &whole}, ETA: &at}, client.Accepted{CreatedAt: at},
		client.DeadLetter{Time: at}, client.Cause{First: at, Last: whole},
	} {
		text, err := json.Marshal(v)
		require.NoError(t, err)
		require.NotEmpty(t, times.FindAll(text, -1))
		for _, found := range times.FindAllSubmatch(text, -1) {
			require.Contains(t, []string{"12:00:00.500Z", "12:00:00.000Z"}, string(found[1]), "%T: %s", v, text)
		}
	}
}

var times = regexp.MustCompile(`"2026-01-31T([^"]*)"`)

func TestErrors(t *testing.T) {
	t.Parallel()
	s := setup(t, "acme:one", "two")
	_, err := s.Job(t.Context(), job.NewID())
	refused, ok := errors.AsType[*client.Error](err)
	require.True(t, ok, err)
	require.Equal(t, []any{http.StatusUnauthorized, "unauthorized", false}, []any{refused.Status, refused.Code, refused.Temporary()})
	require.NoError(t, s.Ping(t.Context()))

	s = setup(t, "", "")
	_, err = s.Jobs(t.Context(), client.JobFilter{Cursor: "bad"})
	refused, _ = errors.AsType[*client.Error](err)
	require.Equal(t, []job.Problem{{Field: "cursor", Message: "must be a cursor that this list returned"}}, refused.Details)
	require.Equal(t, "the query is not valid\n  cursor: must be a cursor that this list returned", err.Error())
	s.world.Set(func() { s.world.Broken["job store"], s.world.Broken["redis"] = true, true })
	_, err = s.Job(t.Context(), job.NewID())
	refused, _ = errors.AsType[*client.Error](err)
	require.True(t, refused.Temporary())
	require.Positive(t, refused.RetryAfter)

	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	nobody, err := client.New("http://"+l.Addr().String(), "")
	require.NoError(t, err)
	for _, err := range []error{nobody.Ping(t.Context()), func() error { _, err := nobody.Version(t.Context()); return err }()} {
		away, ok := errors.AsType[*client.Unreachable](err)
		require.True(t, ok, err)
		require.Equal(t, "http://"+l.Addr().String(), away.Base)
	}
	for _, bad := range []string{"", "localhost:8080", "ftp://x", "http://"} {
		_, err := client.New(bad, "")
		require.Error(t, err, bad)
	}
}

// A server of somebody else's, or a proxy, answers without our JSON.
func TestAnswersThatAreNotOurs(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".csv") {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "ticker\n")
			return
		}
		w.WriteHeader(http.StatusBadGateway)
		_, _ = io.WriteString(w, "<html>")
	}))
	defer server.Close()
	c, err := client.New(server.URL, "")
	require.NoError(t, err)
	_, err = c.Version(t.Context())
	require.EqualError(t, err, "the server answered 502 Bad Gateway")
	rows, err := c.ResultsCSV(t.Context(), "x", client.ResultFilter{})
	require.NoError(t, err)
	defer rows.Close()
	_, err = io.ReadAll(rows)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	stranger := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the other host was asked for %s", r.URL.Path)
	}))
	t.Cleanup(stranger.Close)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, stranger.URL+"/x", http.StatusPermanentRedirect)
	}))
	t.Cleanup(server.Close)
	c, err := client.New(server.URL, "a-key-of-sixteen-")
	require.NoError(t, err)
	_, err = c.Submit(t.Context(), client.Request{}, "")
	require.EqualError(t, err, `the server redirects to "`+stranger.URL+`", which is not followed`)
	_, err = c.Job(t.Context(), "some")
	refused, ok := errors.AsType[*client.Error](err)
	require.True(t, ok)
	require.Equal(t, http.StatusPermanentRedirect, refused.Status)
}

// Ids are printed, and addresses are made of them.
func TestAnAnswerNamesJobsByTheirIDs(t *testing.T) {
	t.Parallel()
	const id = "01900000-0000-7000-8000-000000000001"
	answer := ""
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(srv.Close)
	c, err := client.New(srv.URL, "")
	require.NoError(t, err)
	for body, good := range map[string]bool{
		`{"job_id":"` + id + `"}`: true,
		`{"group_id":"` + id + `","jobs":[{"job_id":"` + id + `","ticker":"DAX"}]}`: true,
		`{}`:                                     false,
		`{"job_id":"\u001b[2J"}`:                 false,
		`{"job_id":"` + id + `\n"}`:              false,
		`{"group_id":"x"}`:                       false,
		`{"job_id":"x","group_id":"` + id + `"}`: false,
		`{"group_id":"` + id + `","jobs":[{"job_id":"../..","ticker":"DAX"}]}`:         false,
		`{"group_id":"` + id + `","jobs":[{"job_id":"` + id + `","ticker":"\u202e"}]}`: false,
	} {
		answer = body
		_, submitting := c.Submit(t.Context(), client.Request{}, "")
		_, retrying := c.Retry(t.Context(), id, "")
		for _, err := range []error{submitting, retrying} {
			if good {
				require.NoError(t, err, body)
			} else {
				require.ErrorIs(t, err, client.ErrInvalidResponse, body)
				require.ErrorContains(t, err, "no job id", body)
			}
		}
	}
}
