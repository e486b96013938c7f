package trading_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/kelseyhightower/envconfig"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/local/simulator"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/trading"
)

// bundle is the client, the simulator it speaks to, and a callback receiver.
type bundle struct {
	client    *trading.Client
	sim       *simulator.Simulator
	url       string
	callbacks chan received
	sink      string
}

type received struct {
	header http.Header
	query  url.Values
	body   []byte
}

func setup(t *testing.T, change func(*simulator.Config), client trading.Config, options ...trading.Option) bundle {
	t.Helper()
	cfg := simulator.DefaultConfig()
	cfg.Delay = 0
	if change != nil {
		change(&cfg)
	}
	sim, err := simulator.New(cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(sim.Close)
	api := httptest.NewServer(sim.Handler())
	t.Cleanup(api.Close)

	callbacks := make(chan received, 100)
	sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		callbacks <- received{r.Header.Clone(), r.URL.Query(), body}
	}))
	t.Cleanup(sink.Close)

	client.URL = api.URL
	c, err := trading.New(client, options...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return bundle{client: c, sim: sim, url: api.URL, callbacks: callbacks, sink: sink.URL}
}

func dax() job.Sweep {
	return job.Sweep{
		Ticker: "DAX", FastRange: [2]int{5, 40}, SlowRange: [2]int{10, 130}, Step: 1,
		MinTrades: 10, StrategyType: job.SMA,
	}
}

func callbackURL(t *testing.T, base, id string) string {
	t.Helper()
	u, err := trading.CallbackURL(base, id, trading.Token("secret", id))
	require.NoError(t, err)
	return u
}

// The whole life of a sweep, in both encodings and both webhook dialects.
func TestSweepEndToEnd(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{trading.JSON, trading.Form} {
		for _, dialect := range []string{simulator.WebhookAuto, simulator.WebhookEvent, simulator.WebhookStatus} {
			for _, status := range []string{simulator.StatusFull, simulator.StatusMinimal} {
				t.Run(encoding+"/"+dialect+"/"+status, func(t *testing.T) {
					t.Parallel()
					b := setup(t, func(c *simulator.Config) {
						c.WebhookDialect, c.StatusDialect = dialect, status
					}, trading.Config{Encoding: encoding})
					endToEnd(t, b, encoding)
				})
			}
		}
	}
}

func endToEnd(t *testing.T, b bundle, encoding string) {
	ctx := t.Context()
	require.NoError(t, b.client.Health(ctx))

	id := job.NewID()
	hook := callbackURL(t, b.sink, id)
	token := trading.Token("secret", id)
	sub, err := b.client.Submit(ctx, dax(), hook, trading.CallbackHeaders(token))
	require.NoError(t, err)
	require.NotEmpty(t, sub.JobID)
	require.Equal(t, dax().Combinations(), sub.Combinations)
	require.WithinDuration(t, time.Now(), sub.CreatedAt, time.Minute)
	require.Equal(t, encoding == trading.JSON, sub.EstimatedDuration > 0)

	got := <-b.callbacks
	require.Equal(t, id, got.query.Get("job"))
	require.True(t, trading.Verify(got.query.Get("token"), id, "secret"))
	require.Equal(t, "TradingAPI-Webhook/1.0", got.header.Get("User-Agent"))
	require.Equal(t, sub.JobID, got.header.Get("X-Job-Id"))
	if encoding == trading.JSON {
		require.Equal(t, "Bearer "+token, got.header.Get("Authorization"))
	}
	cb, err := trading.ParseCallback(got.body)
	require.NoError(t, err)
	require.Equal(t, sub.JobID, cb.TradingJobID)
	require.Equal(t, trading.Completed, cb.Status)
	require.NotEmpty(t, cb.RunID)
	require.Equal(t, sub.Combinations, cb.Combinations)
	require.WithinDuration(t, time.Now(), cb.At, time.Minute)

	j, err := b.client.Job(ctx, sub.JobID)
	require.NoError(t, err)
	require.Equal(t, trading.Completed, j.Status)
	require.Equal(t, 100, j.Progress)
	require.Equal(t, cb.RunID, j.RunID)

	found, err := b.client.Find(ctx, id, time.Time{})
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Equal(t, sub.JobID, found[0].ID)
	require.Equal(t, hook, found[0].WebhookURL)
	none, err := b.client.Find(ctx, job.NewID(), time.Time{})
	require.NoError(t, err)
	require.Empty(t, none)

	rows := collect(t, b.client, j.RunID, "DAX")
	require.Len(t, rows, sub.Combinations)
	require.Greater(t, len(rows), 2*500, "the sweep must need several pages")
	best, err := b.client.Best(ctx, j.RunID, "")
	require.NoError(t, err)
	require.Len(t, best.Rows, 10)
	require.Equal(t, rows[:10], best.Rows)
	require.False(t, best.Synthetic)

	require.NoError(t, b.client.Cancel(ctx, sub.JobID), "an ended sweep is no error")
}

func collect(t *testing.T, c *trading.Client, runID, ticker string) []job.Row {
	t.Helper()
	var out []job.Row
	seen := map[[2]int]bool{}
	for last := false; !last; {
		p, err := c.Page(t.Context(), runID, ticker, len(out))
		require.NoError(t, err)
		for _, r := range p.Rows {
			require.False(t, seen[[2]int{r.FastPeriod, r.SlowPeriod}], "a row came twice")
			seen[[2]int{r.FastPeriod, r.SlowPeriod}] = true
		}
		out, last = append(out, p.Rows...), p.Last
		require.Equal(t, last, len(out) == p.Total)
	}
	return out
}

func TestSyntheticAndFailedSweeps(t *testing.T) {
	t.Parallel()
	b := setup(t, nil, trading.Config{})
	s := dax()
	s.Ticker = "BTC-USD"
	_, err := b.client.Submit(t.Context(), s, b.sink+"/?job=a", nil)
	require.NoError(t, err)
	cb, err := trading.ParseCallback((<-b.callbacks).body)
	require.NoError(t, err)
	require.True(t, cb.Synthetic)
	best, err := b.client.Best(t.Context(), cb.RunID, "")
	require.NoError(t, err)
	require.True(t, best.Synthetic)

	b = setup(t, func(c *simulator.Config) { c.Fail = 1 }, trading.Config{})
	sub, err := b.client.Submit(t.Context(), dax(), b.sink+"/?job=b", nil)
	require.NoError(t, err)
	cb, err = trading.ParseCallback((<-b.callbacks).body)
	require.NoError(t, err)
	require.Equal(t, trading.Failed, cb.Status)
	require.Contains(t, cb.ErrorMessage, "strategy execution failed")
	require.Empty(t, cb.RunID)
	j, err := b.client.Job(t.Context(), sub.JobID)
	require.NoError(t, err)
	require.Equal(t, trading.Failed, j.Status)
	require.Equal(t, cb.ErrorMessage, j.ErrorMessage)
}

func TestEarlyCallbackComesBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *simulator.Config) { c.EarlyCallbacks = 1; c.Delay = time.Hour }, trading.Config{})
	sub, err := b.client.Submit(t.Context(), dax(), b.sink+"/?job=a", nil)
	require.NoError(t, err)
	select {
	case got := <-b.callbacks:
		require.Equal(t, sub.JobID, got.header.Get("X-Job-Id"))
	default:
		t.Fatal("no callback before the answer")
	}
}

func TestLostAnswerIsUncertainAndTheSweepIsFound(t *testing.T) {
	t.Parallel()
	b := setup(t, nil, trading.Config{})
	b.sim.CutNextAnswers(1)
	id := job.NewID()
	_, err := b.client.Submit(t.Context(), dax(), callbackURL(t, b.sink, id), nil)
	require.Error(t, err)
	require.True(t, trading.Uncertain(err))
	require.True(t, trading.Unavailable(err))
	require.False(t, trading.Permanent(err))
	found, err := b.client.Find(t.Context(), id, time.Time{})
	require.NoError(t, err)
	require.Len(t, found, 1)
}

func TestCancelledSweep(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *simulator.Config) { c.Delay = time.Hour }, trading.Config{Encoding: trading.Form})
	sub, err := b.client.Submit(t.Context(), dax(), b.sink+"/?job=a", nil)
	require.NoError(t, err)
	require.NoError(t, b.client.Cancel(t.Context(), sub.JobID))
	require.NoError(t, b.client.Cancel(t.Context(), sub.JobID), "twice is as good as once")
	j, err := b.client.Job(t.Context(), sub.JobID)
	require.NoError(t, err)
	require.Equal(t, trading.Cancelled, j.Status)
	cb, err := trading.ParseCallback((<-b.callbacks).body)
	require.NoError(t, err)
	require.Equal(t, trading.Cancelled, cb.Status)

	err = b.client.Cancel(t.Context(), job.NewID())
	require.True(t, trading.NotFound(err))
}

func TestErrorsOfTheAPI(t *testing.T) {
	t.Parallel()
	b := setup(t, nil, trading.Config{})
	ctx := t.Context()

	var e *trading.Error
	s := dax()
	s.Step = 0
	_, err := b.client.Submit(ctx, s, "", nil)
	require.ErrorAs(t, err, &e)
	require.Equal(t, 422, e.Status)
	require.Equal(t, "VALIDATION_ERROR", e.Code)
	require.Equal(t, "step: must be from 1 to 50", e.Detail)
	require.True(t, e.Permanent())
	require.False(t, e.Unavailable())
	require.False(t, e.Uncertain())

	for _, id := range []string{job.NewID(), "", "../health", "a/b"} {
		_, err = b.client.Job(ctx, id)
		require.True(t, trading.NotFound(err), id)
		_, err = b.client.Best(ctx, id, "")
		require.True(t, trading.NotFound(err), id)
		_, err = b.client.Page(ctx, id, "", 0)
		require.True(t, trading.NotFound(err), id)
	}

	b.sim.RefuseNext(1, 429, 7*time.Second)
	_, err = b.client.Submit(ctx, dax(), "", nil)
	require.ErrorAs(t, err, &e)
	require.Equal(t, 7*time.Second, e.RetryAfter)
	require.True(t, e.Unavailable())
	require.False(t, e.Permanent())
	require.False(t, e.Uncertain())

	b.sim.SetDown(true)
	err = b.client.Health(ctx)
	require.ErrorAs(t, err, &e)
	require.Equal(t, 503, e.Status)
	require.True(t, e.Unavailable())
	require.False(t, e.Uncertain())
	b.sim.SetDown(false)
	require.NoError(t, b.client.Health(ctx))

	wrong, err := trading.New(trading.Config{URL: b.url, Key: "not-the-key"})
	require.NoError(t, err)
	_, err = wrong.Jobs(ctx)
	require.ErrorAs(t, err, &e)
	require.Equal(t, 401, e.Status)
	require.NotContains(t, err.Error(), "not-the-key")
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	c, err := trading.New(trading.Config{URL: gone.URL})
	require.NoError(t, err)
	_, err = c.Submit(t.Context(), dax(), "", nil)
	require.True(t, trading.Unavailable(err))
	require.False(t, trading.Uncertain(err), "nothing was sent")
}

func TestTimeoutAndCancellation(t *testing.T) {
	t.Parallel()
	reached := make(chan struct{}, 2)
	release := make(chan struct{})
	api := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		reached <- struct{}{}
		<-release
	}))
	t.Cleanup(api.Close)
	t.Cleanup(func() { close(release) })

	c, err := trading.New(trading.Config{URL: api.URL, SubmitTimeout: 50 * time.Millisecond})
	require.NoError(t, err)
	_, err = c.Submit(t.Context(), dax(), "", nil)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.True(t, trading.Unavailable(err))
	require.True(t, trading.Uncertain(err))
	<-reached

	c, err = trading.New(trading.Config{URL: api.URL})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-reached; cancel() }()
	_, err = c.Submit(ctx, dax(), "", nil)
	require.ErrorIs(t, err, context.Canceled)
	require.False(t, trading.Unavailable(err), "the caller gave up, the API may be well")
	require.True(t, trading.Uncertain(err))
}

func TestObserverSeesEveryCall(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []string
	b := setup(t, func(c *simulator.Config) { c.Delay = time.Hour }, trading.Config{},
		trading.WithObserver(func(endpoint string, took time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			require.Positive(t, took)
			seen = append(seen, endpoint)
		}))
	ctx := t.Context()
	_ = b.client.Health(ctx)
	_, _ = b.client.Submit(ctx, dax(), "", nil)
	_, _ = b.client.Job(ctx, "x")
	_, _ = b.client.Jobs(ctx)
	_ = b.client.Cancel(ctx, "x")
	_, _ = b.client.Best(ctx, "x", "")
	_, _ = b.client.Page(ctx, "x", "", 0)
	require.Equal(t, trading.Endpoints, seen)
}

func TestConfigNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	_, err := trading.New(trading.Config{URL: "ftp://x", Key: "a\nb", Encoding: "xml", Timeout: -1, SubmitTimeout: -1})
	for _, name := range []string{"URL", "KEY", "ENCODING", "TIMEOUT", "SUBMIT_TIMEOUT"} {
		require.ErrorContains(t, err, "TRADING_API_"+name+":")
	}
	_, err = trading.New(trading.Config{URL: "http://x/?tenant=a"})
	require.ErrorContains(t, err, "TRADING_API_URL: must", "paths are added to it, and the query would be lost")
	_, err = trading.New(trading.Config{})
	require.NoError(t, err)
}

func TestDefaultsAreTheSameFromTheEnvironment(t *testing.T) {
	t.Parallel()
	var cfg trading.Config
	require.NoError(t, envconfig.Process("", &cfg))
	require.Equal(t, trading.Config{
		URL: "http://localhost:8000", Key: simulator.DevKey, Encoding: trading.JSON,
		SubmitTimeout: 30 * time.Second, Timeout: 10 * time.Second,
	}, cfg)
}
