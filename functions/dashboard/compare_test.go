package dashboard_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs/jobstest"
)

func TestComparePage(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	get := func(path string) string {
		r := jobstest.Call(h, http.MethodGet, path)
		require.Equal(t, http.StatusOK, r.Code, path)
		return r.Body.String()
	}
	sweep := func(ticker string, rows ...job.Row) job.Job {
		j := w.Stored("default", job.Completed)
		j.Ticker, j.Results, j.Metrics = ticker, rows[:1], &job.Metrics{Combinations: len(rows), BestScore: rows[0].Score}
		w.Set(func() { w.Jobs[j.JobID], w.Rows = j, rows })
		get("/jobs/" + j.JobID) // its surface is remembered
		return j
	}
	a := sweep("DAX", job.Row{FastPeriod: 10, SlowPeriod: 20, Score: 3}, job.Row{FastPeriod: 11, SlowPeriod: 20, Score: 2}, job.Row{FastPeriod: 11, SlowPeriod: 30, Score: 1})
	b := sweep("<b>", job.Row{FastPeriod: 11, SlowPeriod: 20, Score: 2.5}, job.Row{FastPeriod: 10, SlowPeriod: 20, Score: 1}, job.Row{FastPeriod: 12, SlowPeriod: 20, Score: 1})
	open := w.Recorded("default")

	page := get("/compare?a=" + a.JobID + "&b=" + strings.ToUpper(b.JobID))
	require.Contains(t, page, "B is better in 1 field, worse in 1 field, of the 2 fields that both have.")
	require.Contains(t, page, "fast 10, slow 20: 3.00 → 1.00 (-2.00)")
	require.Contains(t, page, "fast 11, slow 20: 2.00 → 2.50 (&#43;0.50)")
	require.Contains(t, page, `<th scope="row">Best score</th><td><strong>3.00</strong>`)
	require.Contains(t, page, `<tr class="differs"><th scope="row">Ticker</th><td>DAX</td><td>&lt;b&gt;</td></tr>`)
	require.Contains(t, page, `<tr><th scope="row">Step</th>`, "what is alike is told, and not marked")
	require.Contains(t, page, `href="/compare?a=`+b.JobID+`&amp;b=`+a.JobID+`"`)
	require.NotContains(t, page, "<b>")
	require.Contains(t, get("/compare?id="+a.JobID+"&id="+b.JobID+"&metric=max_drawdown_pct"), "Drawdown % on one scale")

	require.Contains(t, get("/compare?a="+a.JobID), `name="b"`, "one is asked for the other")
	require.Contains(t, get("/compare?a="+a.JobID+"&b="+open.JobID), "There is no map", "facts can always be compared")
	require.Contains(t, get("/jobs/"+a.JobID), `href="/compare?a=`+a.JobID+`"`)
	for path, status := range map[string]int{
		"/compare":                http.StatusBadRequest,
		"/compare?a=&b=%20":       http.StatusBadRequest,
		"/compare?id=1&id=2&id=3": http.StatusBadRequest,
		"/compare?a=" + a.JobID + "&b=" + job.NewID(): http.StatusNotFound,
	} {
		require.Equal(t, status, jobstest.Call(h, http.MethodGet, path).Code, path)
	}
}

// Another tenant's sweep is none.
func TestCompareIsOfOneTenant(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "acme:0123456789abcdef,globex:fedcba9876543210")
	mine, theirs := w.Stored("acme", job.Completed), w.Stored("globex", job.Completed)
	require.Equal(t, http.StatusNotFound, jobstest.Call(h, "GET", "/compare?a="+mine.JobID+"&b="+theirs.JobID, "X-API-Key", "0123456789abcdef").Code)
}
