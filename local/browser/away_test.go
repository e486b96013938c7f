package browser_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/local/runner"
)

// door stands between the browser and the server, and does what becomes of servers.
type door struct {
	*httptest.Server

	state atomic.Value // open, gone, sick or stuck
}

func newDoor(t *testing.T, v *visitor) *door {
	t.Helper()
	to, err := url.Parse(v.local.PublicURL)
	require.NoError(t, err)
	through := httputil.NewSingleHostReverseProxy(to)
	through.FlushInterval = -1 // streams
	d := &door{}
	d.state.Store("open")
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch d.state.Load() {
		case "open":
			defer func() { // a stream that is cut off
				if recover() != nil {
					panic(http.ErrAbortHandler)
				}
			}()
			through.ServeHTTP(w, r)
		case "sick":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "stuck":
			<-r.Context().Done()
		default:
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(func() { // Close waits for streams, and the page would open them again
		d.become("gone")
		d.Close()
	})
	return d
}

func (d *door) become(state string) {
	d.state.Store(state)
	if state != "stuck" { // a server that is stuck keeps its connections
		d.CloseClientConnections()
	}
}

// A page that has lost its server says so, and looks like it, until it has it back:
// whatever became of the server, and whether the page asks, listens or does both.
func TestAPageThatIsOldSaysSo(t *testing.T) {
	t.Parallel()
	v := visit(t, runner.Config{SimulatorDelay: time.Hour})
	id := post(t, v, `{"ticker":"DAX","fast_range":[10,20],"slow_range":[30,60],"step":5,"min_trades":10}`)
	d := newDoor(t, v)
	stale := func() (is bool) {
		v.do(chromedp.Evaluate(`document.getElementById("live").classList.contains("stale") && !document.getElementById("connection").hidden`, &is))
		return is
	}
	for path, c := range map[string]struct{ shows, state, says string }{
		"/":             {"DAX", "gone", "The server does not answer."},
		"/broker":       {"Delivering", "sick", "The server cannot show this page now (503)."},
		"/dead-letters": {"There are none.", "stuck", "The server does not answer."},
		"/jobs/" + id:   {"Running at the trading API", "gone", "The server does not answer."},
	} {
		v.do(chromedp.Navigate(d.URL + path))
		v.sees(c.shows)
		require.False(t, stale(), path)
		d.become(c.state)
		v.sees(c.says + " What is shown here is as of ")
		v.sees(c.shows)
		require.True(t, stale(), path)
		if path != "/dead-letters" {
			v.fits("away-" + c.state + map[bool]string{true: "-list"}[path == "/"])
		}
		d.become("open")
		var back bool
		v.do(chromedp.Poll(`document.getElementById("connection").hidden && !document.getElementById("live").classList.contains("stale")`, &back,
			chromedp.WithPollingTimeout(patience)))
		v.sees(c.shows)
	}
}

// The bar, its figure and the timeline tell the same, at every moment.
func TestBarAndTimelineAgree(t *testing.T) {
	t.Parallel()
	v := visit(t, runner.Config{SimulatorDelay: 30 * time.Second})
	id := post(t, v, `{"ticker":"DAX","fast_range":[10,20],"slow_range":[30,60],"step":5,"min_trades":10}`)
	v.open("/jobs/" + id)
	v.sees("Running at the trading API")
	var values []string
	for range 3 { // each time it has moved, whoever moved it
		v.do(chromedp.Poll(`(() => {
			const all = [...document.querySelectorAll("[data-progress]")].map((e) => e.tagName === "PROGRESS" ? e.value + " %" : e.textContent);
			if (all.length < 3 || all[0] === "0 %" || all[0] === window.before) return false;
			window.before = all[0];
			return all;
		})()`, &values, chromedp.WithPollingTimeout(patience)))
		require.Len(t, values, 3)
		require.Equal(t, values[0], values[1])
		require.Equal(t, values[0], values[2])
	}
	v.sees("so far")
	v.sees("left")
	v.open("/")
	v.sees("left")
	v.fits("jobs-progress")
}

// Prices that nobody ever paid cannot be overlooked: on the page, in the list, in the
// message, in the subject of the mail.
func TestMadeUpPricesAreMarked(t *testing.T) {
	t.Parallel()
	v := visit(t, runner.Config{SimulatorDelay: time.Millisecond})
	id := post(t, v, `{"ticker":"AAPL","fast_range":[5,50],"slow_range":[20,200],"step":15,"min_trades":10}`)
	v.open("/jobs/" + id)
	v.sees("Made-up prices.")
	v.sees("say nothing about AAPL")
	v.sees("made up (2520 bars)")
	v.fits("made-up")
	v.open("/")
	v.sees("made-up prices")
	v.fits("jobs-made-up")
	require.Eventually(t, func() bool { // the mailbox is no live page
		v.open("/mailbox")
		var text string
		v.do(chromedp.Evaluate(`document.body.innerText`, &text))
		return strings.Contains(text, "completed on made-up prices")
	}, patience, 100*time.Millisecond)
	v.open("/mailbox/" + id)
	v.sees("They are not those of AAPL")
	v.fits("message-made-up")
	v.open("/mailbox/" + id + "/mail")
	v.sees("They are not those of AAPL")
	v.fits("mail-made-up")
}
