package browser_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/local/runner"
)

func TestTheMailbox(t *testing.T) {
	t.Parallel()
	v := visit(t, runner.Config{SimulatorDelay: 2 * time.Second})
	v.open("/mailbox")
	v.sees("No messages yet")
	v.fits("mailbox-empty")
	post(t, v, `{"ticker":"DAX","fast_range":[5,50],"slow_range":[20,200],"step":5,"min_trades":10}`)
	bad := post(t, v, `{"ticker":"DAX","fast_range":[10,20],"slow_range":[30,60],"step":5}`)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, v.local.PublicURL+"/api/jobs/"+bad+"/cancel", http.NoBody)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusAccepted, resp.StatusCode)
	var there bool
	require.Eventually(t, func() bool {
		v.open("/mailbox")
		v.do(chromedp.Evaluate(`document.querySelectorAll(".mailbox li").length === 2`, &there))
		return there
	}, patience, 200*time.Millisecond)
	v.fits("mailbox")

	// From the list to the message by keyboard alone.
	v.do(chromedp.Evaluate(`document.querySelector("nav a[aria-current=page]").focus()`, nil), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Tab)) // over the colours
	var at string
	v.do(chromedp.Evaluate(`document.activeElement.closest(".mailbox") ? document.activeElement.textContent : ""`, &at))
	require.Contains(t, at, "sweep of DAX")
	v.do(click(`.mailbox a[href]:not([href*="`+bad+`"])`), chromedp.WaitVisible("iframe.letter", chromedp.ByQuery),
		chromedp.Poll(`document.readyState === "complete"`, nil, chromedp.WithPollingTimeout(patience))) // the frame's as well
	v.sees("Open the job")
	v.sees("Best score")
	inside := func() string { // what is in the frame is shut in: even the page cannot look inside
		var s string
		v.do(chromedp.Evaluate(`(() => { try { return String(document.querySelector("iframe").contentDocument?.body?.innerText) } catch (e) { return "shut" } })()`, &s))
		return s
	}
	require.Contains(t, []string{"shut", "undefined"}, inside())
	v.fits("message")

	// The mail alone, as wide and as narrow as mail programs show it.
	var address string
	v.do(chromedp.AttributeValue("iframe.letter", "src", &address, nil, chromedp.ByQuery))
	v.open(address)
	v.sees("sweep of DAX completed")
	var drawn, alt string
	v.do(chromedp.Evaluate(`String(document.images[0].complete && document.images[0].naturalWidth)`, &drawn), chromedp.Evaluate(`document.images[0].alt`, &alt))
	require.Equal(t, "1200", drawn, "the picture is in the mail")
	require.Contains(t, alt, "best at fast")
	v.fits("mail")

	v.open("/mailbox/" + bad)
	v.sees("it was cancelled")
	v.fits("message-failed")
	v.open("/mailbox/" + bad + "/mail")
	v.sees("it was cancelled")
	var pictures int
	v.do(chromedp.Evaluate(`document.images.length`, &pictures))
	require.Zero(t, pictures)
	v.fits("mail-failed")
}

func TestNoMailboxWhereMessagesAreSent(t *testing.T) {
	t.Setenv("SLACK_WEBHOOK_URL", "http://127.0.0.1:1/nobody")
	v := visit(t, runner.Config{})
	v.open("/")
	v.sees("No jobs yet")
	var links int
	v.do(chromedp.Evaluate(`document.querySelectorAll('nav a[href="/mailbox"]').length`, &links))
	require.Zero(t, links)
	v.open("/mailbox")
	v.sees("no such address")
}
