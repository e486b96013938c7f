package browser_test

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/local/runner"
)

// What changes on a page changes in place, and not while somebody has it in hand.
func TestAPageIsNotTakenOutOfOnesHand(t *testing.T) {
	t.Parallel()
	v := visit(t, runner.Config{SimulatorDelay: 5 * time.Second})
	id := post(t, v, `{"ticker":"DAX","fast_range":[10,20],"slow_range":[30,60],"step":5,"min_trades":10}`)
	v.open("/")
	v.sees("DAX")
	v.do(
		chromedp.Evaluate(`document.getElementById("tick-`+id+`").checked = true; document.getElementById("job-`+id+`").mark = "kept"`, nil),
		chromedp.Evaluate(`getSelection().selectAllChildren(document.getElementById("job-`+id+`"))`, nil),
	)
	badge := func() (state string) {
		v.do(chromedp.Evaluate(`document.querySelector("#live .badge").textContent`, &state))
		return state
	}
	require.NotEqual(t, "Completed", badge())
	v.ended(id)
	require.Never(t, func() bool { return badge() == "Completed" }, 3*time.Second, 200*time.Millisecond, "text is selected")
	v.do(chromedp.Evaluate(`getSelection().removeAllRanges()`, nil))
	require.Eventually(t, func() bool { return badge() == "Completed" }, patience, 100*time.Millisecond)
	var mark string
	v.do(chromedp.Evaluate(`document.getElementById("job-`+id+`").mark || "another element"`, &mark))
	require.Equal(t, "kept", mark)
}

func TestColoursAndTheSearch(t *testing.T) {
	t.Parallel()
	v := visit(t, runner.Config{})
	v.open("/new")
	scheme := func() (s string) {
		v.do(chromedp.Evaluate(`getComputedStyle(document.documentElement).colorScheme`, &s))
		return s
	}
	require.Equal(t, "light dark", scheme())
	v.do(chromedp.Click("#theme"))
	require.Equal(t, "light", scheme())
	v.do(chromedp.Click("#theme"), chromedp.Reload())
	require.Equal(t, "dark", scheme(), "it is remembered")
	v.do(chromedp.Click("#theme"))
	require.Equal(t, "light dark", scheme())

	v.do(chromedp.Focus("main"), chromedp.KeyEvent("/"))
	require.Eventually(t, func() bool {
		var at string
		v.do(chromedp.Evaluate(`document.activeElement?.id || ""`, &at))
		return at == "q"
	}, patience, 50*time.Millisecond)
}

// Two sweeps of a ticker, from the page of one of them.
func TestTwoSweepsAreCompared(t *testing.T) {
	t.Parallel()
	v := visit(t, runner.Config{})
	a := post(t, v, `{"ticker":"DAX","fast_range":[5,50],"slow_range":[20,200],"step":5,"min_trades":10}`)
	b := post(t, v, `{"ticker":"DAX","strategy_type":"EMA","fast_range":[5,50],"slow_range":[20,200],"step":5,"min_trades":10}`)
	v.ended(a)
	v.ended(b)
	v.open("/jobs/" + a)
	v.do(chromedp.Click("#compare"))
	v.sees("Other sweeps of DAX")
	v.fits("compare-with")
	v.do(chromedp.Click(`.others a[href*="` + b + `"]`))
	v.sees("B less A")
	v.sees("fields that both have")
	v.fits("compare")
	v.do(chromedp.Click(`//nav//a[text()="Drawdown %"]`))
	v.sees("Drawdown % on one scale")
}
