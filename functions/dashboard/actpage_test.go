package dashboard_test

import (
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs/jobstest"
	"github.com/zixly/sweepline/shared/quota"
)

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)

// formOf is what the page's form sends.
func formOf(r *httptest.ResponseRecorder) url.Values {
	v := url.Values{}
	for _, found := range hidden.FindAllStringSubmatch(r.Body.String(), -1) {
		v.Add(found[1], found[2])
	}
	return v
}

func TestActOnAllThatMatch(t *testing.T) {
	t.Parallel()
	w, h := operated(t, "")
	failed := w.Stored("default", job.Failed)
	list := jobstest.Call(h, "GET", "/?ticker=DAX&within=1h").Body.String()
	require.Contains(t, list, `href="/act?act=retry&amp;status=FAILED&amp;ticker=DAX&amp;within=1h"`)
	asked := jobstest.Call(h, "GET", "/act?act=retry&status=FAILED&ticker=DAX&within=1h")
	require.Contains(t, asked.Body.String(), "Retry 1 job?")
	require.Empty(t, w.Taken, "it asks first")
	require.Equal(t, jobstest.Created.Add(-time.Hour).Truncate(time.Minute), w.Query.Since)
	require.Equal(t, jobstest.Created.Add(time.Second), w.Query.Until, "what comes meanwhile was not asked about")

	form := formOf(asked)
	require.Equal(t, "/?status=FAILED&amp;ticker=DAX&amp;within=1h", form.Get("back"))
	form.Set("back", "/?ticker=DAX")
	step := jobstest.Form(h, "/act", form)
	require.Equal(t, 200, step.Code)
	require.Equal(t, "DAX", w.Query.Ticker)
	require.Len(t, w.Taken, 1)
	require.Equal(t, failed.JobID, w.Taken[0].RetryOf)
	require.Contains(t, step.Body.String(), `data-go-on="0"`, "there is another page")
	require.Contains(t, step.Body.String(), "1 of 1 done: 1 retried.")
	form = formOf(step)
	require.Equal(t, "next", form.Get("cursor"))

	// The next step counts on.
	step = jobstest.Form(h, "/act", form)
	require.Equal(t, "next", w.Query.Cursor)
	require.Contains(t, step.Body.String(), "1 retried, 1 retried before.")
	require.Contains(t, step.Body.String(), `<a class="button quiet" href="/?ticker=DAX">Stop here</a>`)
	require.Equal(t, 400, jobstest.Form(h, "/act", url.Values{"act": {"retry"}}).Code, "nothing is done to all")
	require.Equal(t, 400, jobstest.Call(h, "GET", "/act?act=eat").Code)
	for _, damaged := range []string{"&ticker=DAX%zz", "&ticker=DAX;", "&ticker=DAX&ticker=MDAX"} { // not all jobs
		require.Equal(t, 400, jobstest.Call(h, "GET", "/act?act=retry"+damaged).Code, damaged)
	}
	require.Equal(t, 400, jobstest.Call(h, "GET", "/act?act=retry&status=QUEUED").Code)
	require.Equal(t, 400, jobstest.Form(h, "/act", url.Values{"act": {"retry"}, "status": {"FAILED"}, "cursor": {"bad"}}).Code)
	form.Set("back", "https://evil.example/")
	require.NotContains(t, jobstest.Form(h, "/act", form).Body.String(), "evil")
	w.Broken["job store"] = true
	require.Equal(t, 503, jobstest.Form(h, "/act", form).Code)
}

func TestActOnTicked(t *testing.T) {
	t.Parallel()
	w, h := operated(t, "")
	a, b, done := w.Recorded("default"), w.Recorded("default"), w.Stored("default", job.Completed)
	v := url.Values{"ticked": {"1"}, "act": {"cancel"}, "back": {"/"}}
	require.Equal(t, 400, jobstest.Form(h, "/act", v).Code)
	v["id"] = []string{a.JobID, b.JobID, done.JobID}
	page := jobstest.Form(h, "/act", v).Body.String()
	require.Contains(t, page, "2 jobs are cancelled")
	require.Contains(t, page, "1 not: the state of the job does not allow it")
	require.Contains(t, page, "the job has ended already")
	require.Len(t, w.Acts, 2)
	require.Equal(t, 403, jobstest.Call(h, "POST", "/act", "Sec-Fetch-Site", "cross-site").Code)
	list := jobstest.Call(h, "GET", "/").Body.String()
	require.NotContains(t, list, `value="`+done.JobID+`"`, "there is nothing to do to it")
}

// Where a share is used up the step is done again when the server says, and what it has
// done is counted once.
func TestAnActWaitsForItsShare(t *testing.T) {
	t.Parallel()
	w, h := operated(t, "")
	v := url.Values{"act": {"retry"}, "back": {"/"}}
	for range 30 {
		v.Add("id", w.Stored("default", job.Failed).JobID)
	}
	w.MostTaken = 20
	w.FullErr = &quota.Exceeded{What: "open jobs", Limit: 20, RetryAfter: 7 * time.Second}
	step := jobstest.Form(h, "/act", v)
	require.Contains(t, step.Body.String(), `data-go-on="7"`)
	require.Contains(t, step.Body.String(), "20 of 30 done: 20 retried. The rest has to wait")
	w.MostTaken = 0
	form := formOf(step)
	require.Equal(t, strconv.Itoa(20), form.Get("begun"))
	step = jobstest.Form(h, "/act", form)
	require.Contains(t, step.Body.String(), "30 jobs are retried")
	require.Contains(t, step.Body.String(), `<p id="told" role="status"></p>`, "none of them before")
}
