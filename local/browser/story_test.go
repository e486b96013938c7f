package browser_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/local/runner"
	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/servers/servertest"
	"github.com/zixly/sweepline/shared/sink"
)

func TestMain(m *testing.M) { servertest.Main(m) }

// fill writes into a field, in place of what stands in it.
func fill(selector, text string) chromedp.Action {
	return chromedp.SetValue(selector, text, chromedp.ByQuery)
}

// click clicks what is there: a live page may replace it between the look and the click.
func click(selector string) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		for {
			err := chromedp.Click(selector, chromedp.ByQuery).Do(ctx)
			if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "Could not find node") {
				return err
			}
		}
	})
}

func TestASweepFromFormToHeatMap(t *testing.T) {
	t.Parallel()
	v := visit(t, runner.Config{SimulatorDelay: 4 * time.Second})
	v.open("/")
	v.sees("No jobs yet")
	v.fits("empty")
	v.do(click(`a.button[href="/new"]`))
	v.sees("Every pair")

	// All that is wrong is told at once, and what was typed is kept.
	v.do(fill("#ticker", "x!"), fill(`[name=fast_to]`, "many"), fill("#step", "77"), click("#start"))
	v.sees("3 fields need another look")
	v.sees("must be 3 to 20 characters")
	v.sees("must be two whole numbers")
	v.sees("must be 1 to 50")
	v.fits("form-problems")

	v.do(fill("#ticker", "DAX"), fill(`[name=fast_to]`, "40"), fill("#step", "2"), fill("#min_trades", "10"),
		chromedp.SendKeys("#min_trades", " ", chromedp.ByQuery)) // somebody types
	v.sees("1\u202f583 combinations")
	v.fits("form")
	v.do(click("#start"))
	v.sees("Cancel")
	path := v.path()
	require.True(t, strings.HasPrefix(path, "/jobs/"), path)
	v.sees("Running at the trading API")
	v.fits("running")

	// Nobody reloads: the end comes by itself.
	v.sees("Best score")
	v.sees("Score over fast and slow periods")
	v.sees("Results fetched and stored")
	v.sees("Notified")
	require.Equal(t, path, v.path())
	v.fits("completed")
	var cells int
	v.do(chromedp.Evaluate(`document.querySelectorAll(".plot a").length`, &cells))
	require.Greater(t, cells, 500)
	v.sees("Most robust")

	// The map is read with the keyboard, and a field leads to its rows.
	var reading, entry string
	v.do(chromedp.Evaluate(`document.querySelector(".plot a[tabindex='0']").focus(); document.activeElement.getAttribute("aria-label")`, &entry),
		chromedp.KeyEvent(kb.ArrowRight), chromedp.KeyEvent(kb.ArrowLeft), chromedp.KeyEvent(kb.ArrowLeft),
		chromedp.Evaluate(`document.getElementById("reading").textContent`, &reading))
	require.NotContains(t, reading, entry)
	require.Contains(t, reading, "Enter shows its rows")
	v.do(chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(`.filter a[href*="step=1"]`, chromedp.ByQuery))
	require.Contains(t, v.path(), "where=fast")
	v.sees("1 to ")
	v.fits("rows-of-a-field")
	v.do(fill("#where", "trades>=30, drawdwn<=15"), click(".filter button"))
	v.sees("The filter was left out: condition 2 must name one of")
	v.fits("filter-problem")
	v.do(fill("#where", "trades>=100000"), click(".filter button"))
	v.sees("No combination meets the filter.")

	// A region that is dragged over shows its rows, and a sweep of it can be made.
	v.open(path)
	var box struct{ X, Y, Width, Height float64 }
	v.do(chromedp.Evaluate(`document.querySelector(".plot").scrollIntoView(); (({x, y, width, height}) => ({x, y, width, height}))(document.querySelector(".plot").getBoundingClientRect())`, &box))
	at := func(x, y float64) (float64, float64) { return box.X + x*box.Width, box.Y + y*box.Height }
	drag := func(kind input.MouseType, x, y float64) chromedp.Action {
		px, py := at(x, y)
		return input.DispatchMouseEvent(kind, px, py).WithButton(input.Left).WithButtons(1).WithClickCount(1)
	}
	v.do(drag(input.MousePressed, .6, .5), drag(input.MouseMoved, .7, .6), drag(input.MouseMoved, .8, .7),
		chromedp.Evaluate(`document.getElementById("reading").textContent`, &reading), drag(input.MouseReleased, .8, .7))
	require.Contains(t, reading, "let go to see the rows")
	v.sees("Refine here with step 1")
	v.do(click(`.filter a[href*="step=1"]`), chromedp.WaitVisible("#step", chromedp.ByQuery))
	v.sees("combinations")

	v.open(path + "?metric=max_drawdown_pct&stat=worst")
	v.sees("Drawdown % over fast and slow periods")
	v.fits("map-of-drawdown")
	v.do(click(`th a[href*="sort=win_rate_pct"]`), chromedp.WaitVisible(`th[aria-sort=descending] a[href*="win_rate_pct"]`, chromedp.ByQuery))
	v.open("/")
	v.sees("Completed")
	v.fits("jobs")
}

func TestTheListIsLive(t *testing.T) {
	t.Parallel()
	v := visit(t, runner.Config{SimulatorDelay: 8 * time.Second})
	v.open("/")
	v.sees("No jobs yet")
	for range 8 { // five run, the others stand in line
		post(t, v, `{"ticker":"DAX","fast_range":[10,20],"slow_range":[30,60],"step":5,"min_trades":10}`)
	}
	v.sees("in the queue")
	v.sees("Running")
	v.sees("of 5 slots in use")
	v.fits("jobs-live")
	var states string
	v.do(chromedp.Poll(`document.querySelector("#tab-COMPLETED .count")?.textContent === "8" && "all"`, &states, chromedp.WithPollingTimeout(patience)))
	require.Equal(t, "all", states)
}

func TestCancelAsksFirst(t *testing.T) {
	t.Parallel()
	v := visit(t, runner.Config{SimulatorDelay: time.Minute})
	id := post(t, v, `{"ticker":"DAX","fast_range":[10,20],"slow_range":[30,60],"step":5}`)
	v.open("/jobs/" + id)
	v.sees("Running at the trading API")
	v.answers <- false
	v.do(click("#cancel"))
	v.sees("Running at the trading API")
	v.answers <- true
	v.do(click("#cancel"))
	v.sees("Cancelling stored")
	v.sees("Cancelled")
	v.fits("cancelled")
	v.do(click("#retry"))
	v.sees("This repeats")
	require.NotContains(t, v.path(), id)
}

func TestWithoutScript(t *testing.T) {
	t.Parallel()
	v := visit(t, runner.Config{SimulatorDelay: time.Millisecond})
	id := post(t, v, `{"ticker":"DAX","fast_range":[10,20],"slow_range":[30,60],"step":5,"min_trades":10}`)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := http.NewRequestWithContext(ctx, http.MethodGet, v.local.PublicURL+"/api/jobs/"+id+"/stream", http.NoBody)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(stream)
	require.NoError(t, err)
	_, err = resp.Body.Read(make([]byte, 1))
	require.NoError(t, err)
	for buf := make([]byte, 1<<16); err == nil; { // to its end, which is the job's
		_, err = resp.Body.Read(buf)
	}
	resp.Body.Close()
	v.do(withoutScript())
	v.open("/")
	v.do(click("#job-" + id))
	v.sees("Score over fast and slow periods")
	v.open("/new")
	v.do(fill("#ticker", "DAX"), click(`[name=check]`))
	v.sees("combinations")
	v.do(click("#start"))
	v.sees("DAX")
	require.Contains(t, v.path(), "/jobs/")
}

func TestDeadLettersAndBroker(t *testing.T) {
	t.Parallel()
	url := servertest.Miniredis(t)
	v := visit(t, runner.Config{RedisURL: url})
	v.open("/dead-letters")
	v.sees("There are none.")
	makeDeadLetters(t, v, url, 3)
	v.open("/dead-letters")
	v.sees("End of DAX not stored")
	v.sees("6 dead letters") // store and collect each have refused all
	v.fits("dead-letters")
	v.do(click(`.letters li:first-child button[name=redrive]`))
	v.sees("1 event was sent again")
	// All that failed alike, and then the rest that is ticked.
	v.do(click(`.causes a`))
	v.sees("Clear")
	v.fits("dead-letters-of-a-cause")
	v.do(click(`.causes li.current button[value=redrive]`))
	v.sees("events were sent again. Those that fail again come back here.")
	v.open("/dead-letters")
	v.sees("Discard ticked")
	v.answers <- true
	v.do(click(`[data-all]:not(span)`), click(`.bulk button[value=discard]`))
	v.sees("were discarded")

	v.open("/broker")
	v.sees("Slots in use")
	v.fits("broker")
	v.do(click("#toggle-submit"))
	v.sees("Paused. Events wait")
	id := post(t, v, `{"ticker":"DAX","fast_range":[10,20],"slow_range":[30,60],"step":5,"min_trades":10}`)
	v.open("/jobs/" + id)
	v.sees("On its way to the trading API")
	v.sees("submit is paused: 1 event waits")
	v.fits("job-of-paused-trigger")
	v.open("/broker")
	v.fits("broker-paused")
	v.do(click("#toggle-submit"))
	v.sees("Resumed.")
	v.open("/jobs/" + id)
	v.sees("Best score")
}

// makeDeadLetters makes dead letters: ends of sweeps that store refuses for good, since
// their ids are another job's. The jobs fail for it.
func makeDeadLetters(t *testing.T, v *visitor, url string, n int) {
	t.Helper()
	sender, err := sink.New(sink.Config{Sink: v.local.BrokerURL}, sink.WithSeals(v.local.Seals))
	require.NoError(t, err)
	for range n {
		h := job.Header{
			JobID: job.NewID(), TenantID: "default", JobType: job.Type, CreatedAt: time.Now().UTC(),
			Parameters: job.Sweep{Ticker: "DAX", FastRange: [2]int{5, 10}, SlowRange: [2]int{20, 30}, Step: 5, MinTrades: 50, StrategyType: job.SMA},
		}
		e, err := event.NewCompleted(event.Completed{Header: h, SweepRunID: "none", CompletedAt: time.Now().UTC(), Via: event.ViaPoll})
		require.NoError(t, err)
		e.SetID(job.NewID() + "/completed")
		require.NoError(t, sender.Send(t.Context(), e))
	}
	o, err := redis.ParseURL(url)
	require.NoError(t, err)
	client := redis.NewClient(o)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	inspector, err := broker.NewInspector(client)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		letters, _, err := inspector.DeadLetters(t.Context(), broker.DeadLetterQuery{})
		return err == nil && len(letters) >= n
	}, patience, 50*time.Millisecond)
}
