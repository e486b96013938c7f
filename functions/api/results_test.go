package api_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs"
	"github.com/zixly/sweepline/shared/jobs/jobstest"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/openapi"
)

func TestResultPages(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	j := w.Stored("default", job.Completed)
	j.Metrics = &job.Metrics{Combinations: 700, Synthetic: true}
	w.Jobs[j.JobID] = j
	w.Rows = slices.Repeat([]job.Row{{Ticker: "DAX", StrategyType: "SMA", FastPeriod: 10, SlowPeriod: 20, Score: 1.5}}, 70)
	at := "/api/jobs/" + j.JobID + "/results"

	r := jobstest.Call(h, "GET", at)
	require.Equal(t, 200, r.Code)
	page := jobstest.Decode[jobs.ResultPage](t, r)
	require.Equal(t, jobs.ResultPage{JobID: j.JobID, Status: job.Completed, Total: 700, Sort: "score", Dir: "desc", Results: page.Results}, page)
	require.Len(t, page.Results, jobstore.DefaultLimit)
	require.True(t, page.Results[0].Synthetic, "of each row")

	page = jobstest.Decode[jobs.ResultPage](t, jobstest.Call(h, "GET", at+"?sort=drawdown&limit=7&offset=3&where=trades>=30,+fast+<+9.5&where=score!=-1e-3"))
	require.Equal(t, []any{"max_drawdown_pct", "asc", 3, 7}, []any{page.Sort, page.Dir, page.Offset, len(page.Results)}, "the least drawdown first")
	require.Equal(t, 70, page.Total, "counted, not remembered")
	require.Equal(t, jobstore.RowQuery{By: "max_drawdown_pct", Ascending: true, Limit: 7, Offset: 3, Where: []jobstore.Condition{
		{Column: "total_trades", Operator: ">=", Value: 30}, {Column: "fast_period", Operator: "<", Value: 9.5}, {Column: "score", Operator: "!=", Value: -0.001},
	}}, w.RowQuery)
	require.Equal(t, "asc", jobstest.Decode[jobs.ResultPage](t, jobstest.Call(h, "GET", at+"?dir=asc")).Dir)
	require.Equal(t, []job.Row{}, jobstest.Decode[jobs.ResultPage](t, jobstest.Call(h, "GET", at+"?offset=70")).Results)

	// The same as CSV.
	for path, accept := range map[string]string{"?format=csv&limit=2&where=trades>1": "application/json", "?limit=2": "text/csv", ".csv?limit=2": "", "?limit=2&sort=": "text/csv;q=.9, application/json;q=.5"} {
		r = jobstest.Call(h, "GET", at+path, "Accept", accept)
		require.Contains(t, r.Header().Get("Content-Type"), "text/csv", path)
		require.Equal(t, 2, w.RowQuery.Limit)
	}
	require.Contains(t, jobstest.Call(h, "GET", at, "Accept", "text/csv;q=0, */*").Header().Get("Content-Type"), "application/json")

	open := w.Stored("default", job.Running)
	r = jobstest.Call(h, "GET", "/api/jobs/"+open.JobID+"/results")
	require.Equal(t, job.Running, jobstest.Decode[jobs.ResultPage](t, r).Status)
	require.Empty(t, r.Header().Get("ETag"), "there may be more in a moment")
	require.Equal(t, "no-store", r.Header().Get("Cache-Control"))

	require.Equal(t, 404, jobstest.Call(h, "GET", "/api/jobs/"+w.Stored("other", job.Completed).JobID+"/results").Code)
	w.RowErr = jobstest.ErrGone
	r = jobstest.Call(h, "GET", at)
	require.Equal(t, 503, r.Code)
	require.Equal(t, "no-store", r.Header().Get("Cache-Control"))
	require.Empty(t, r.Header().Get("ETag"))
}

func TestResultsNotAskedForRight(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	j := w.Stored("default", job.Completed)
	details := func(query string) (fields []string, all string) {
		r := jobstest.Call(h, "GET", "/api/jobs/"+j.JobID+"/results?"+query)
		require.Equal(t, 400, r.Code, query)
		for _, d := range jobstest.Decode[struct{ Details []job.Problem }](t, r).Details {
			fields, all = append(fields, d.Field), all+d.Message+"\n"
		}
		return fields, all
	}
	fields, _ := details("sort=job_id&dir=up&limit=10001&offset=-1&format=xml&where=a>1&where=score~1,score>x")
	require.Equal(t, []string{"dir", "format", "limit", "offset", "sort", "where", "where", "where"}, fields)
	for _, bad := range []string{
		"trades", ">=30", "trades>=", "trades==30", "trades>=3 or 1=1", "job_id=1", "score>NaN", "score>Inf", "score>0x10", "score>1e300",
		"score>" + strings.Repeat("1", 40), "score>=1;drop table pipeline_jobs", "score>1_0", "trades<>3", "trades!3", "score;--=1",
	} {
		fields, said := details("where=" + url.QueryEscape(bad))
		require.Equal(t, []string{"where"}, fields, bad)
		require.NotContains(t, said, "drop", "nothing is repeated")
	}
	fields, _ = details("where=" + strings.Repeat("score>1,", 17))
	require.Equal(t, []string{"where"}, fields)
	fields, _ = details("whre=score>1")
	require.Equal(t, []string{"whre"}, fields)
	require.Equal(t, 400, jobstest.Call(h, "GET", "/api/jobs/"+j.JobID+"/results.csv?limit=0&sort=x").Code)
	require.Equal(t, 400, jobstest.Call(h, "GET", "/api/jobs/"+j.JobID+"/results.csv?format=json").Code)
	require.Equal(t, 200, jobstest.Call(h, "GET", "/api/jobs/"+j.JobID+"/results?sort=&dir=&limit=&offset=&where=&where=+,").Code, "as a form sends them")
}

func TestResultsAreKept(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	j := w.Stored("default", job.Completed)
	reads := 0
	w.Reading = func(context.Context, string) error { reads++; return nil }
	tags := map[string]bool{}
	for _, path := range []string{"/results", "/results?format=csv", "/results?sort=trades", "/results?where=trades>=30", "/results?where=trades>=31", "/results?offset=1", "/results?limit=1"} {
		r := jobstest.Call(h, "GET", "/api/jobs/"+j.JobID+path)
		tag := r.Header().Get("ETag")
		require.NotEmpty(t, tag, path)
		require.False(t, tags[tag], "another answer has another tag: "+path)
		tags[tag] = true
		require.Equal(t, "private, no-cache", r.Header().Get("Cache-Control"))
		require.Contains(t, r.Header().Values("Vary"), "Authorization")
		before := reads
		for _, has := range []string{tag, `"x", ` + tag, strings.TrimPrefix(tag, "W/"), "*"} {
			r = jobstest.Call(h, "GET", "/api/jobs/"+j.JobID+path, "If-None-Match", has)
			require.Equal(t, 304, r.Code)
			require.Equal(t, tag, r.Header().Get("ETag"))
			require.Empty(t, r.Body.String())
		}
		require.Equal(t, before, reads, "nothing is read")
		require.Equal(t, 200, jobstest.Call(h, "GET", "/api/jobs/"+j.JobID+path, "If-None-Match", `"x"`).Code)
	}
	foreign := w.Stored("other", job.Completed)
	require.Equal(t, 404, jobstest.Call(h, "GET", "/api/jobs/"+foreign.JobID+"/results", "If-None-Match", "*").Code)
}

func TestResultsAreCompressed(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "")
	j := w.Stored("default", job.Completed)
	w.Rows = slices.Repeat([]job.Row{{Ticker: "DAX", StrategyType: "SMA"}}, 50)
	for _, path := range []string{"/results", "/results.csv"} {
		plain := jobstest.Call(h, "GET", "/api/jobs/"+j.JobID+path)
		require.Empty(t, plain.Header().Get("Content-Encoding"))
		require.Equal(t, plain.Body.String(), jobstest.Call(h, "GET", "/api/jobs/"+j.JobID+path, "Accept-Encoding", "gzip;q=0").Body.String())
		r := jobstest.Call(h, "GET", "/api/jobs/"+j.JobID+path, "Accept-Encoding", "br, gzip")
		require.Equal(t, "gzip", r.Header().Get("Content-Encoding"))
		require.Contains(t, r.Header().Values("Vary"), "Accept-Encoding")
		require.Less(t, r.Body.Len(), plain.Body.Len()/4)
		text, err := gzip.NewReader(r.Body)
		require.NoError(t, err)
		unpacked, err := io.ReadAll(text)
		require.NoError(t, err)
		require.Equal(t, plain.Body.String(), string(unpacked))
	}
	r := jobstest.Call(h, "GET", "/api/jobs/"+j.JobID+"/results?limit=0", "Accept-Encoding", "gzip", "Accept", "application/problem+json")
	require.Equal(t, "application/problem+json", r.Header().Get("Content-Type"))
}

// The document names what rows are sorted by.
func TestDocumentedSorts(t *testing.T) {
	t.Parallel()
	var d struct {
		Components struct {
			Parameters map[string]struct {
				Schema struct {
					Enum    []string
					Maximum int
				}
			}
		}
	}
	require.NoError(t, json.Unmarshal(openapi.Document(), &d))
	var want []string
	for _, c := range jobstore.RowColumns {
		want = append(want, c.Name)
	}
	for _, c := range jobstore.RowColumns {
		if c.Short != "" {
			want = append(want, c.Short)
		}
	}
	require.ElementsMatch(t, want, d.Components.Parameters["RowSort"].Schema.Enum)
	require.Equal(t, jobstore.MaxRows, d.Components.Parameters["RowLimit"].Schema.Maximum)
}
