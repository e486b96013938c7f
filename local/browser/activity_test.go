package browser_test

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/local/runner"
)

// Rates and latencies are drawn on the page of jobs, and as tables on their own.
func TestRatesAndLatencies(t *testing.T) {
	t.Parallel()
	v := visit(t, runner.Config{SimulatorDelay: time.Second})
	v.ended(post(t, v, `{"ticker":"DAX","fast_range":[10,20],"slow_range":[30,60],"step":5,"min_trades":10}`))
	v.do(chromedp.EmulateViewport(390, 900))
	v.open("/")
	var open bool
	v.do(chromedp.Evaluate(`document.getElementById("activity").open`, &open))
	require.False(t, open, "a phone shows the jobs first")
	v.do(chromedp.Click("#activity summary"))
	v.sees("last 24 hours: 1 completed")
	v.open("/")
	v.sees("last 24 hours: 1 completed") // it is remembered
	v.fits("jobs-activity")
	v.open("/activity")
	v.do(chromedp.Click("#day summary"))
	v.sees("95 % took up to")
	v.fits("activity")

	v.do(withoutScript())
	v.open("/")
	v.do(chromedp.Click("#activity summary"), chromedp.Click(`#activity a`))
	v.sees("Jobs an hour")
}
