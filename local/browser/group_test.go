package browser_test

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/local/runner"
)

// One form with many tickers is a group: its page shows the best of them, and follows
// them to their end by itself.
func TestAGroupOfSweeps(t *testing.T) {
	t.Parallel()
	v := visit(t, runner.Config{SimulatorDelay: 3 * time.Second})
	v.open("/new")
	v.do(fill("#ticker", "DAX, x, DAX"), fill("#labels", "week ly ü"), click("#start"))
	v.sees("must not name one twice")
	v.fits("group-problems")
	v.do(fill("#ticker", "DAX, SMI, ^GSPC"), fill("#labels", "weekly, desk=eu"), fill("#step", "10"), chromedp.SendKeys("#step", " ", chromedp.ByQuery))
	v.sees("of each of 3 tickers")
	v.fits("group-form")
	v.do(click("#start"))
	v.sees("of 3 sweeps")
	require.True(t, strings.HasPrefix(v.path(), "/?group="), v.path())
	v.sees("3 of 3 sweeps have ended")
	v.sees("Best so far")
	v.fits("group")
	var scores []string
	v.do(chromedp.Evaluate(`[...document.querySelectorAll("table.jobs td.num strong")].map((e) => e.textContent)`, &scores))
	require.Len(t, scores, 3)
	require.IsDecreasing(t, scores)
	v.do(chromedp.WaitVisible(`th[aria-sort=descending] a#by-score`, chromedp.ByQuery), click("#by-created"),
		chromedp.WaitVisible(`th[aria-sort=descending] a#by-created`, chromedp.ByQuery))

	post(t, v, `{"ticker":"SMI","fast_range":[10,20],"slow_range":[30,60],"step":5}`)
	v.open("/?sort=score")
	v.sees("All 4")
	v.fits("jobs-by-score")
	v.do(click(`a.label[href="/?label=weekly"]`))
	v.sees("All 3")
	v.fits("jobs-of-a-label")
	v.do(click("table.jobs td a[id]"))
	v.sees("desk=eu")
	v.fits("labelled")
}
