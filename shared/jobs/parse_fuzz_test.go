package jobs

import (
	"math"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

// FuzzQueries: whatever a query says, what is read of it is within its bounds.
func FuzzQueries(f *testing.F) {
	for _, seed := range []string{
		"status=FAILED,queued&label=a,b&since=2026-01-01T00:00:00Z&limit=5&sort=score", "where=trades>=30,drawdown<=15&sort=sharpe&dir=asc&offset=3",
		"dry_run=true&all=1&cause=0123456789ab&trigger=store&cursor=x", "q=%00%ff&group=01900000-0000-7000-8000-000000000001", "where=score!=1e308&where==&limit=-1",
	} {
		f.Add(seed, "text/csv;q=0.5,*/*")
	}
	f.Fuzz(func(t *testing.T, query, accept string) {
		v, _ := url.ParseQuery(query)
		of := func(err error) bool {
			if err == nil {
				return true
			}
			var invalid job.Invalid
			require.ErrorAs(t, err, &invalid)
			return false
		}
		if q, err := ParseQuery(v); of(err) {
			require.LessOrEqual(t, q.PageSize(), jobstore.MaxLimit)
			require.True(t, job.ValidLabels(q.Labels), q.Labels)
			require.True(t, q.Group == "" || job.ValidID(q.Group), q.Group)
		}
		for _, act := range []Act{ActRetry, ActCancel} {
			b, err := ParseBulk(act, v, v["id"])
			if !of(err) {
				continue
			}
			require.LessOrEqual(t, max(b.Query.Limit, len(b.IDs)), MaxBulk)
			require.Subset(t, act.States(), b.Query.Status, "an act is done to jobs that it is for")
		}
		for _, act := range []LetterAct{ActRedrive, ActDiscard} {
			if b, err := ParseBulkLetters(act, v, v["id"]); of(err) {
				require.LessOrEqual(t, max(b.Limit, len(b.IDs)), MaxBulk)
				require.True(t, len(b.IDs) > 0 || b.Filter != LetterFilter{} || v.Get("all") != "", "nothing is done to all unasked")
			}
		}
		if q, err := ParseResults(v); of(err) {
			limit, offset := q.Window()
			require.True(t, limit >= 1 && limit <= jobstore.MaxRows && offset >= 0 && offset <= maxOffset)
			require.LessOrEqual(t, len(q.Where), jobstore.MaxConditions)
			for _, c := range q.Where {
				require.LessOrEqual(t, math.Abs(c.Value), float64(jobstore.Largest)) // and so no NaN
				require.Contains(t, jobstore.Operators, c.Operator)
			}
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.RawQuery = query
		r.Header.Set("Accept", accept)
		form, err := formOf(r)
		require.True(t, !of(err) || form == asJSON || form == asCSV, form)
		takesGzip(accept)
		matches([]string{accept}, `W/"x"`)
	})
}

// sealing is what a cursor is longer than the position in it: a nonce and a tag.
const sealing = 12 + 16

// FuzzCursors: nobody makes a cursor, or changes one, or takes another tenant's.
func FuzzCursors(f *testing.F) {
	c, err := newCursors("a secret of the tests")
	require.NoError(f, err)
	mine, others := auth.NewContext(f.Context(), "acme"), auth.NewContext(f.Context(), "globex")
	for _, seed := range []string{"", "x", "AAAA", c.seal(mine, "1-0/store"), c.seal(others, "1-0/store")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ctx := auth.NewContext(t.Context(), "a tenant that was given none")
		_, err := c.open(ctx, text)
		require.Error(t, err)
		sealed := c.seal(ctx, text)
		back, err := c.open(ctx, sealed)
		if text == "" || len(text) > maxCursor-sealing {
			require.Error(t, err)
			return
		}
		require.NoError(t, err)
		require.Equal(t, text, back)
		_, err = c.open(ctx, sealed+"\n")
		require.Error(t, err, "another spelling")
	})
}
