package dashboard_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions/dashboard"
	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/enqueue"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs"
	"github.com/zixly/sweepline/shared/jobs/jobstest"
	"github.com/zixly/sweepline/shared/jobstore"
)

func setup(t *testing.T, keys string) (*jobstest.World, *dashboard.Function, http.Handler) {
	t.Helper()
	w := jobstest.New()
	f, h := serve(t, dashboard.Config{}, w.Service(t, keys), dashboard.Deps{})
	return w, f, h
}

func serve(t testing.TB, cfg dashboard.Config, s *jobs.Service, d dashboard.Deps) (*dashboard.Function, http.Handler) {
	t.Helper()
	f, err := dashboard.New(cfg, s, d)
	require.NoError(t, err)
	h, err := function.Handler("dashboard", f, prometheus.NewRegistry())
	require.NoError(t, err)
	return f, h
}

func operated(t *testing.T, keys string, operators ...string) (*jobstest.World, http.Handler) {
	t.Helper()
	w := jobstest.New()
	_, h := serve(t, dashboard.Config{TraceURL: "https://traces.example/t/{trace_id}"}, w.OperatedService(t, keys, operators...),
		dashboard.Deps{Trading: jobstest.Broker{World: w}})
	return w, h
}

// The form has a field for an address to call where the installation allows a host.
func TestAnAddressToCall(t *testing.T) {
	t.Parallel()
	good := url.Values{"ticker": {"DAX"}, "fast_from": {"10"}, "fast_to": {"20"}, "slow_from": {"30"}, "slow_to": {"60"}, "step": {"5"}, "notify_url": {"https://hooks.example.com/a?b=<c>"}}
	w, _, h := setup(t, "")
	require.NotContains(t, jobstest.Call(h, "GET", "/new").Body.String(), `name="notify_url"`)
	require.Equal(t, 422, jobstest.Form(h, "/new", good).Code)

	var cfg dashboard.Config
	cfg.Hosts = []string{"hooks.example.com"}
	_, h = serve(t, cfg, w.Service(t, ""), dashboard.Deps{})
	require.Contains(t, jobstest.Call(h, "GET", "/new?"+good.Encode()).Body.String(), `name="notify_url" type="url" value="https://hooks.example.com/a?b=&lt;c&gt;"`)
	require.Equal(t, 303, jobstest.Form(h, "/new", good).Code)
	require.Equal(t, "https://hooks.example.com/a?b=<c>", w.Taken[0].NotifyURL)
	good.Set("notify_url", "https://evil.example/")
	for _, page := range []*httptest.ResponseRecorder{jobstest.Form(h, "/new", good), jobstest.Call(h, "GET", "/new?check=1&"+good.Encode())} {
		require.Contains(t, page.Body.String(), `id="notify-fault">must name a host that this installation allows`)
	}
	require.Len(t, w.Taken, 1)
	j := w.Stored("default", job.Failed)
	j.NotifyURL = "https://hooks.example.com/a?b=<c>"
	w.Jobs[j.JobID] = j
	require.Contains(t, jobstest.Call(h, "GET", "/jobs/"+j.JobID).Body.String(), `<dt>Calls at its end</dt><dd class="mono wrap">https://hooks.example.com/a?b=&lt;c&gt;</dd>`)
	require.Equal(t, 303, jobstest.Form(h, "/jobs/"+j.JobID+"/retry", url.Values{}).Code)
	require.Equal(t, j.NotifyURL, w.Taken[1].NotifyURL)

	cfg.Hosts = []string{"https://x"}
	_, err := dashboard.New(cfg, w.Service(t, ""), dashboard.Deps{})
	require.ErrorContains(t, err, "NOTIFY_URL_HOSTS")
}

func TestOnlyOperatorsSteerTheBroker(t *testing.T) {
	t.Parallel()
	w, h := operated(t, "acme:one,default:two,ops:three", "ops")
	for _, c := range [][2]string{{"GET", "/broker"}, {"POST", "/broker/triggers/n/b/store/pause"}} {
		require.Equal(t, 401, jobstest.Call(h, c[0], c[1]).Code, c)
		require.Equal(t, 403, jobstest.Call(h, c[0], c[1], "X-API-Key", "one").Code, c)
		require.Equal(t, 403, jobstest.Call(h, c[0], c[1], "X-API-Key", "two").Code, "default is a tenant as any other")
	}
	require.Empty(t, w.Acts)
	require.Equal(t, 200, jobstest.Call(h, "GET", "/broker", "X-API-Key", "three").Code)
	require.NotContains(t, jobstest.Call(h, "GET", "/", "X-API-Key", "one").Body.String(), `href="/broker"`)
	require.Contains(t, jobstest.Call(h, "GET", "/", "X-API-Key", "three").Body.String(), `href="/broker"`)
}

func TestBrokerPage(t *testing.T) {
	t.Parallel()
	w, h := operated(t, "")
	page := jobstest.Call(h, "GET", "/broker").Body.String()
	for _, want := range []string{"3 of 5", "12 queued", "Trading API", "1 min 30 s", "disk &lt;full&gt;", "Pause store",
		"Last 24 hours: 3 delivered, 1 failed attempt, 1 dead letter; half within 16 ms, 95 % within 2.0 s",
		"last 30 days: 3 delivered", "Deliveries an hour",
	} {
		require.Contains(t, page, want)
	}
	require.NotContains(t, page, "does not answer")
	r := jobstest.Call(h, "POST", "/broker/triggers/n/b/store/pause")
	require.Equal(t, "/broker?done=pause", r.Header().Get("Location"))
	require.Contains(t, jobstest.Call(h, "GET", "/broker?done=pause").Body.String(), "Events wait in the stream")
	require.Equal(t, 303, jobstest.Form(h, "/broker/triggers/n/b/store/replay", url.Values{"since": {"15m"}}).Code)
	require.Equal(t, 404, jobstest.Form(h, "/broker/triggers/n/b/other/resume", nil).Code)
	w.Broken["trading"] = true
	require.Contains(t, jobstest.Call(h, "GET", "/broker").Body.String(), "<dt>Trading API</dt><dd>does not answer</dd>")
	w.Broken["redis"] = true
	page = jobstest.Call(h, "GET", "/broker").Body.String()
	require.Contains(t, page, "cannot be read now")
	require.NotContains(t, page, "10.0.0.7")
}

// Whatever page an operator is on, it says what is wrong, and so does the navigation.
func TestEveryPageSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	w, h := operated(t, "acme:one,ops:three", "ops")
	w.Set(func() {
		w.Triggers = []broker.TriggerInfo{{Name: "submit", Paused: true, Lag: 1}, {Name: "store", DeadLetters: 4, Retries: 1, OldestAge: time.Minute}}
	})
	j := w.Stored("ops", job.Completed)
	for _, path := range []string{"/", "/new", "/dead-letters", "/broker", "/jobs/" + j.JobID} {
		require.Eventually(t, func() bool { // the first looks may come before the answer
			page := jobstest.Call(h, "GET", path, "X-API-Key", "three").Body.String()
			return strings.Contains(page, `<a href="/broker">submit is paused: 1 event waits</a>`) && strings.Contains(page, `<a href="/dead-letters">4 dead letters</a>`) &&
				strings.Contains(page, `Dead letters<span id="tally-dead-letters"> <span class="tally">4</span>`) &&
				strings.Contains(page, `Broker<span id="tally-broker"> <span class="tally">2</span><span class="hidden"> problems</span>`)
		}, time.Minute, time.Millisecond, path)
		require.NotContains(t, jobstest.Call(h, "GET", path, "X-API-Key", "one").Body.String(), "Needs attention", "%s of a tenant", path)
	}
	page := jobstest.Call(h, "GET", "/broker", "X-API-Key", "three").Body.String()
	require.Contains(t, page, `<span class="badge FAILED">Paused</span>`)
	require.Contains(t, page, `<span class="badge WARN">Failing</span>`)
	require.NotContains(t, page, "Delivering")
}

var causes = regexp.MustCompile(`name="cause" value="([0-9a-f]{12})"`)

func TestDeadLettersPage(t *testing.T) {
	t.Parallel()
	w, h := operated(t, "acme:one,globex:two")
	for _, id := range []string{"a", "b", "c"} {
		w.DeadLetters = append(w.DeadLetters, jobstest.DeadLetter(id, "acme", jobstest.Created))
		w.DeadLetters[len(w.DeadLetters)-1].Trigger = "store"
	}
	w.DeadLetters = append(w.DeadLetters, jobstest.DeadLetter("x", "globex", jobstest.Created))
	send := func(v url.Values) string {
		login := jobstest.Form(h, "/login", url.Values{"key": {"one"}}).Result().Cookies()
		r := jobstest.Form(h, "/dead-letters", v, login...)
		return r.Header().Get("Location")
	}
	page := jobstest.Call(h, "GET", "/dead-letters", "X-API-Key", "one").Body.String()
	require.Contains(t, page, `value="a"`)
	require.NotContains(t, page, `value="x"`)
	require.Equal(t, "/dead-letters?did=redrive&n=2", send(url.Values{"act": {"redrive"}, "id": {"a", "b"}}))
	require.Equal(t, "/dead-letters?did=discard&n=1", send(url.Values{"discard": {"c"}, "id": {"a", "b"}}), "the button of a row means that row")
	require.Equal(t, "/dead-letters?did=redrive&gone=2&n=0", send(url.Values{"act": {"redrive"}, "id": {"x", "zz"}}))
	require.Empty(t, send(url.Values{"act": {"eat"}, "id": {"a"}}))
	require.ElementsMatch(t, []string{"redrive a", "redrive b", "discard c"}, w.Acts)
	w.Set(func() { w.Broken["broker"] = true })
	require.Equal(t, "/dead-letters?did=redrive&kept=2&n=0", send(url.Values{"act": {"redrive"}, "id": {"a", "b"}}))
	w.Set(func() { w.Broken["broker"], w.Acts = false, nil })
	cause := causes.FindStringSubmatch(page)[1]
	require.Contains(t, page, "<strong>store</strong>")
	require.Equal(t, "/dead-letters?did=discard&n=3&trigger=store", send(url.Values{"act": {"discard"}, "trigger": {"store"}, "cause": {cause}, "in_trigger": {"store"}}))
	require.ElementsMatch(t, []string{"discard a", "discard b", "discard c"}, w.Acts, "all of its kind, and nobody else's")
	require.Empty(t, send(url.Values{"act": {"discard"}, "trigger": {"store"}, "cause": {"x"}}))
	require.Contains(t, jobstest.Call(h, "GET", "/dead-letters?trigger=store&cause="+cause, "X-API-Key", "one").Body.String(), `<li class="current">`)
	require.Contains(t, jobstest.Call(h, "GET", "/dead-letters?trigger=nobody", "X-API-Key", "one").Body.String(), "No dead letter matches")
	for query, want := range map[string]string{
		"did=redrive&n=2": "2 events were sent again. Those that fail again come back here.", "did=discard&n=1&gone=1": "1 event was discarded. 1 was not there any more.",
		"did=discard&n=0": "Nothing was ticked", "did=redrive&n=1&kept=2&more=1": "2 were not: the store did not answer. What is left is still listed; try again in a moment. There are more", "did=%3Cb%3E&n=1": `role="status"></p>`,
	} {
		require.Contains(t, jobstest.Call(h, "GET", "/dead-letters?"+query, "X-API-Key", "one").Body.String(), want)
	}
	require.Equal(t, 400, jobstest.Call(h, "GET", "/dead-letters?cursor=x", "X-API-Key", "one").Code)
}

func TestNewSweep(t *testing.T) {
	t.Parallel()
	w, h := operated(t, "")
	good := url.Values{
		"ticker": {" DAX "}, "fast_from": {"10"}, "fast_to": {"20"}, "slow_from": {"30"}, "slow_to": {"60"}, "step": {"5"},
		"min_trades": {""}, "strategy_type": {"MACD"}, "config_path": {""}, "key": {"0190a6f0-0000-7000-8000-000000000001"},
	}
	require.Contains(t, jobstest.Call(h, "GET", "/new?"+good.Encode()).Body.String(), "<strong>21</strong> combinations")
	bad := url.Values{"ticker": {"<b>"}, "fast_from": {"1.5"}, "slow_from": {"30"}, "slow_to": {"20"}, "step": {"0"}, "min_trades": {"9"}, "strategy_type": {"X"}}
	r := jobstest.Form(h, "/new", bad)
	require.Equal(t, 422, r.Code)
	page := r.Body.String()
	require.Contains(t, page, "6 fields need another look")
	for _, want := range []string{"must be two whole numbers", "its first number must not be above its second", "must be 1 to 50", "must be 10 to 1000", `value="&lt;b&gt;"`} {
		require.Contains(t, page, want)
	}
	require.Contains(t, jobstest.Call(h, "GET", "/new?check=1&"+bad.Encode()).Body.String(), "must be 1 to 50")
	require.Empty(t, w.Taken)

	require.Equal(t, 303, jobstest.Form(h, "/new", good).Code)
	require.Equal(t, 303, jobstest.Form(h, "/new", good).Code)
	require.Equal(t, job.Sweep{Ticker: "DAX", FastRange: [2]int{10, 20}, SlowRange: [2]int{30, 60}, Step: 5, MinTrades: 50, StrategyType: "MACD"}, w.Taken[0].Sweep)
	require.Equal(t, w.Taken[0], w.Taken[1], "a double click asks for the same job")
	require.True(t, strings.HasPrefix(w.Taken[0].Key, "form\n"), "apart from the webhook's keys")

	many := maps.Clone(good)
	many["ticker"], many["labels"] = []string{"DAX, SMI  ^GSPC"}, []string{"weekly; desk=eu"}
	require.Contains(t, jobstest.Call(h, "GET", "/new?"+many.Encode()).Body.String(), "<strong>21</strong> combinations of each of 3 tickers")
	taken := len(w.Taken)
	r = jobstest.Form(h, "/new", many)
	require.Equal(t, 303, r.Code)
	require.Regexp(t, `^/\?group=[0-9a-f-]{36}$`, r.Header().Get("Location"))
	require.Equal(t, []string{"DAX", "SMI", "^GSPC"}, []string{w.Taken[taken].Sweep.Ticker, w.Taken[taken+1].Sweep.Ticker, w.Taken[taken+2].Sweep.Ticker})
	require.Equal(t, []string{"desk=eu", "weekly"}, w.Taken[taken].Labels)
	many["ticker"], many["labels"] = []string{"DAX,DAX"}, []string{"a@b"}
	page = jobstest.Form(h, "/new", many).Body.String()
	require.Contains(t, page, `id="ticker-fault">must not name one twice`)
	require.Contains(t, page, `id="labels-fault">each must be 1 to 40 characters`)

	w.TakeErr = enqueue.ErrConflict
	r = jobstest.Form(h, "/new", good)
	require.Equal(t, 409, r.Code)
	require.NotContains(t, r.Body.String(), good.Get("key"), "another job needs another key")
	w.TakeErr = jobstest.ErrGone
	r = jobstest.Form(h, "/new", good)
	require.Equal(t, 503, r.Code)
	require.Contains(t, r.Body.String(), good.Get("key"), "sent again it is the same job")
	require.NotContains(t, r.Body.String(), "10.0.0.7")
}

func TestPagesRefuseOtherSites(t *testing.T) {
	t.Parallel()
	w, h := operated(t, "")
	for _, path := range []string{"/new", "/dead-letters", "/broker/triggers/n/b/store/pause"} {
		require.Equal(t, 403, jobstest.Call(h, "POST", path, "Sec-Fetch-Site", "cross-site").Code, path)
	}
	require.Empty(t, w.Acts)
}

// A dashboard may share its host: below the path of WEBHOOK_BASE_URL, which a proxy
// takes away, is all that pages lead to. And the proxy may put its own name into Host.
func TestBelowAPath(t *testing.T) {
	t.Parallel()
	w := jobstest.New()
	d := w.Deps(t, "acme:one")
	s, err := jobs.New(jobs.Config{Heartbeat: time.Second, MaxStreams: 2, BaseURL: "https://Shared.example:443/tools/$1/"}, d)
	require.NoError(t, err)
	_, h := serve(t, dashboard.Config{}, s, dashboard.Deps{})
	failed, early := w.Stored("acme", job.Failed), w.Recorded("acme")
	failed.ErrorMessage = `see href="/elsewhere"`
	w.Jobs[failed.JobID] = failed
	links := regexp.MustCompile(`(?:href|src|action|data-[a-z]+)="(/[^"]*)"`)
	for _, path := range []string{"/", "/new", "/dead-letters", "/jobs/" + failed.JobID, "/jobs/" + early.JobID, "/jobs/" + job.NewID()} {
		page := jobstest.Call(h, "GET", path, "X-API-Key", "one").Body.String()
		found := links.FindAllStringSubmatch(page, -1)
		require.Greater(t, len(found), 5, path)
		for _, link := range found {
			require.True(t, strings.HasPrefix(link[1], "/tools/$1/") && !strings.Contains(link[1][1:], "/tools/"), "%s leads to %s", path, link[1])
		}
		require.NotContains(t, page, "/tools/$1/elsewhere", "a text is no link")
	}
	r := jobstest.Form(h, "/login", url.Values{"key": {"one"}, "next": {"/new?ticker=DAX"}})
	require.Equal(t, "/tools/$1/new?ticker=DAX", r.Header().Get("Location"))
	require.Equal(t, "/tools/$1/", r.Result().Cookies()[0].Path, "the rest of the host is others'")

	for origin, want := range map[string]int{"https://shared.example": 303, "http://shared.example": 403, "https://evil.example": 403} {
		require.Equal(t, want, jobstest.Call(h, "POST", "/jobs/"+failed.JobID+"/retry", "X-API-Key", "one", "Origin", origin).Code, origin)
	}
	for _, bad := range []string{"shared.example", "ftp://shared.example", "http://", "https://shared.example/?a=b"} {
		_, err = jobs.New(jobs.Config{Heartbeat: time.Second, MaxStreams: 2, BaseURL: bad}, d)
		require.ErrorContains(t, err, "WEBHOOK_BASE_URL")
	}
}

func TestJobsPageFilters(t *testing.T) {
	t.Parallel()
	w, h := operated(t, "")
	head := w.Recorded("default")
	w.Set(func() {
		w.Jobs[head.JobID] = job.Job{JobID: head.JobID, TenantID: "default", Status: job.Queued, Parameters: jobstest.Sweep, CreatedAt: jobstest.Created}
		rec := w.Records[head.JobID]
		rec.Place = 4
		w.Records[head.JobID] = rec
	})
	page := jobstest.Call(h, "GET", "/?within=1h&q=x&until=2026-01-02T03:00").Body.String()
	require.Contains(t, page, "number 4 in the queue")
	require.Contains(t, page, "3 of 5 slots in use")
	require.Equal(t, jobstest.Created.Add(-time.Hour).Truncate(time.Minute), w.Query.Since)
	require.Equal(t, time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC), w.Query.Until)
	require.Contains(t, page, `href="/?q=x&amp;status=FAILED&amp;until=2026-01-02T03%3A00&amp;within=1h"`, "a tab keeps the other filters")
	require.Contains(t, page, `aria-sort="descending"><a id="by-created"`)
	require.Contains(t, page, `<a id="by-score" href="/?q=x&amp;sort=score&amp;until=2026-01-02T03%3A00&amp;within=1h"`, "a sort keeps the filters")
	require.Equal(t, 400, jobstest.Call(h, "GET", "/?since=soon").Code)
	page = jobstest.Call(h, "GET", "/?sort=score&status=QUEUED").Body.String()
	require.Equal(t, jobstore.BestFirst, w.Query.Sort)
	require.Contains(t, page, `aria-sort="descending"><a id="by-score"`)
	require.Contains(t, page, `href="/?cursor=next&amp;sort=score&amp;status=QUEUED"`)
	require.Contains(t, page, `href="/act?act=cancel&amp;`, "acts are for the same jobs, however sorted")
	require.Equal(t, 400, jobstest.Call(h, "GET", "/?sort=best").Code)
	page = jobstest.Call(h, "GET", "/?status=QUEUED&prefix=019a8f").Body.String()
	require.Empty(t, w.Query.Prefix, "acts on all that match have no such filter")
	require.NotContains(t, page, "prefix")
	w.Broken["redis"] = true
	page = jobstest.Call(h, "GET", "/").Body.String()
	require.Contains(t, page, head.JobID, "the list needs no Redis")
	require.NotContains(t, page, "in the queue")
}

func TestPageOfAGroup(t *testing.T) {
	t.Parallel()
	w, h := operated(t, "")
	best := w.Stored("default", job.Completed)
	w.Set(func() {
		best.GroupID, best.Labels, best.Metrics = best.JobID, []string{"desk=eu"}, &job.Metrics{Combinations: 3, BestScore: 74.25}
		w.Jobs[best.JobID] = best
	})
	page := jobstest.Call(h, "GET", "/").Body.String()
	require.Contains(t, page, `href="/?group=`+best.JobID+`"`)
	require.Contains(t, page, `href="/?label=desk%3deu">desk=eu</a>`)
	page = jobstest.Call(h, "GET", "/?group="+best.JobID+"&label=desk%3Deu,weekly").Body.String()
	require.Equal(t, jobstore.BestFirst, w.Query.Sort, "of a group one asks which is best")
	require.Equal(t, best.JobID, w.Query.Group)
	require.Equal(t, []string{"desk=eu", "weekly"}, w.Query.Labels)
	require.Contains(t, page, "<strong>1 of 1 sweep</strong> has ended.")
	require.Contains(t, page, "with a score of <strong>74.25</strong>")
	require.Contains(t, page, `name="group" value="`+best.JobID+`"`)
	require.Contains(t, page, `name="label" value="desk=eu, weekly"`)
	require.Equal(t, 200, jobstest.Call(h, "GET", "/?sort=created&group="+best.JobID).Code)
	require.Equal(t, jobstore.NewestFirst, w.Query.Sort)
	require.Equal(t, 400, jobstest.Call(h, "GET", "/?group=x").Code)
	require.Contains(t, jobstest.Call(h, "GET", "/jobs/"+best.JobID).Body.String(), `href="/?group=`+best.JobID)
	page = jobstest.Call(h, "GET", "/act?act=cancel&group="+best.JobID+"&label=a&label=b").Body.String()
	require.Equal(t, []string{"a", "b"}, w.Query.Labels)
	require.Contains(t, page, `value="a,b"`)
}

// The slots and the line are everybody's: how full they are tells a tenant what
// others do, so only those who operate the broker are shown it.
func TestSlotsAndPlacesAreForOperators(t *testing.T) {
	t.Parallel()
	w, h := operated(t, "acme:one,ops:three", "ops")
	var ids []string
	for _, owner := range []string{"acme", "ops"} {
		head := w.Recorded(owner)
		w.Jobs[head.JobID] = job.Job{JobID: head.JobID, TenantID: owner, Status: job.Queued, Parameters: jobstest.Sweep, CreatedAt: jobstest.Created}
		rec := w.Records[head.JobID]
		rec.Place = 4
		w.Records[head.JobID] = rec
		ids = append(ids, head.JobID)
	}
	page := jobstest.Call(h, "GET", "/", "X-API-Key", "one").Body.String()
	require.Contains(t, page, ids[0])
	require.NotContains(t, page, "slots in use")
	require.NotContains(t, page, "in the queue")
	page = jobstest.Call(h, "GET", "/", "X-API-Key", "three").Body.String()
	require.Contains(t, page, "3 of 5 slots in use")
	require.Contains(t, page, "number 4 in the queue")
}
