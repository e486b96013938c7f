package jobstoretest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

// byScore: the best job first, those without a score last, whatever the size of pages.
func byScore(t *testing.T, l jobstore.Store) {
	add := func(i int, ticker string) job.Header {
		h := Header("default")
		h.Parameters.Ticker = ticker
		h.CreatedAt = Start.Add(time.Duration(i) * time.Minute)
		apply(t, l, Life(t, h).Requested)
		return h
	}
	scored := func(i int, ticker string, scores ...float64) job.Header {
		h := add(i, ticker)
		rows := Rows(len(scores))
		for n := range rows {
			rows[n].Score = scores[n]
		}
		Complete(t, l, h, rows)
		return h
	}
	queued, low := add(0, "DAX"), scored(1, "DAX", -3, -2.5)
	high, none := scored(2, "DAX", 1, 7.123456), scored(3, "DAX")
	failed := add(4, "DAX")
	finish(t, l, Life(t, failed).Failed)
	tied, other, zero := scored(5, "DAX", 7.123456), scored(6, "SMI", 9), scored(7, "DAX", 0)
	foreign := Header("other")
	Complete(t, l, foreign, Rows(900))

	all := []job.Header{other, tied, high, zero, low, none, failed, queued}
	names := func(jobs []job.Header) []string {
		out := []string{}
		for _, h := range jobs {
			out = append(out, h.JobID)
		}
		return out
	}
	for limit := 1; limit <= len(all)+1; limit++ {
		got := []string{}
		q := jobstore.Query{Sort: jobstore.BestFirst, Limit: limit}
		for pages := 1; ; pages++ {
			p, err := l.Jobs(t.Context(), "default", q)
			require.NoError(t, err)
			require.LessOrEqual(t, len(p.Jobs), limit)
			got = append(got, ids(p.Jobs)...)
			if q.Cursor = p.Next; p.Next == "" {
				require.Equal(t, (len(all)+limit-1)/limit, pages, "a full last page has no next one")
				break
			}
		}
		require.Equal(t, names(all), got, "pages of %d", limit)
	}
	for name, c := range map[string]struct {
		q    jobstore.Query
		want []job.Header
	}{
		"completed":             {jobstore.Query{Status: []job.State{job.Completed}}, all[:6]},
		"failed":                {jobstore.Query{Status: []job.State{job.Failed}}, []job.Header{failed}},
		"completed, and queued": {jobstore.Query{Status: []job.State{job.Queued, job.Completed}}, append(append([]job.Header{}, all[:6]...), queued)},
		"ticker":                {jobstore.Query{Ticker: "smi"}, []job.Header{other}},
		"since":                 {jobstore.Query{Since: tied.CreatedAt}, []job.Header{other, tied, zero}},
		"text":                  {jobstore.Query{Text: "no result"}, []job.Header{failed}},
	} {
		c.q.Sort = jobstore.BestFirst
		require.Equal(t, names(c.want), list(t, l, "default", c.q), name)
	}

	first, err := l.Jobs(t.Context(), "default", jobstore.Query{Limit: 1})
	require.NoError(t, err)
	best, err := l.Jobs(t.Context(), "default", jobstore.Query{Limit: 1, Sort: jobstore.BestFirst})
	require.NoError(t, err)
	for _, q := range []jobstore.Query{
		{Sort: jobstore.BestFirst, Cursor: first.Next}, {Cursor: best.Next}, {Sort: jobstore.BestFirst, Cursor: "x"}, {Sort: jobstore.BestFirst, Cursor: best.Next + "\n"},
	} {
		_, err := l.Jobs(t.Context(), "default", q)
		require.ErrorIs(t, err, jobstore.ErrCursor)
	}
}
