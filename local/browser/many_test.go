package browser_test

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/zixly/sweepline/local/runner"
)

// Jobs are cancelled and retried by ticking them, or as a filter finds them: asked first,
// with what became of each told afterwards.
func TestActOnManyJobs(t *testing.T) {
	t.Parallel()
	v := visit(t, runner.Config{SimulatorDelay: time.Hour})
	var ids []string
	for range 4 {
		ids = append(ids, post(t, v, `{"ticker":"DAX","fast_range":[10,20],"slow_range":[30,60],"step":5}`))
	}
	for range 56 { // with those above more than one step is for
		post(t, v, `{"ticker":"SMI","fast_range":[10,20],"slow_range":[30,60],"step":5}`)
	}
	v.open("/?ticker=DAX")
	v.sees("Cancel all 4 that match")
	v.fits("jobs-ticks")
	v.answers <- true
	v.do(click("#tick-"+ids[0]), click("#tick-"+ids[1]), click(`button[value="cancel"]`))
	v.sees("2 jobs are cancelled")
	v.fits("cancelled-ticked")
	v.do(click(`a[href="/?ticker=DAX"]`))
	v.sees("Cancel all 2 that match")
	v.open("/")
	v.do(click("#cancel-all"))
	v.sees("Cancel 58 jobs?")
	v.sees("These are the first 50.")
	v.fits("cancel-asks")
	v.do(click("#act")) // two steps, which follow each other by themselves
	v.sees("58 jobs are cancelled")
	v.fits("cancelled-all")

	v.open("/?ticker=DAX&status=CANCELLED")
	v.sees("Retry all 4 that match")
	v.fits("jobs-cancelled")
	v.do(chromedp.Evaluate(`document.querySelector("input[data-all]").click()`, nil), click(`button[value="retry"]`))
	v.sees("4 jobs are retried")
	v.fits("retried-ticked")
	v.do(chromedp.NavigateBack())
	v.open("/jobs/" + ids[0])
	v.sees("Retried as")
	v.fits("cancelled-and-retried")
	v.do(click("#retried-by a"))
	v.sees("This repeats")
	v.fits("retry")
	v.open("/act?act=retry&status=CANCELLED&ticker=DAX")
	v.do(click("#act"))
	v.sees("4 retried before")
}
