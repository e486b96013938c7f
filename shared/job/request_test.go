package job_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
)

func of(more string) []byte {
	return []byte(`{"fast_range":[10,50],"slow_range":[20,200],"step":5,` + more + `}`)
}

func TestParseRequest(t *testing.T) {
	t.Parallel()
	r, err := job.ParseRequest(of(`"ticker":"DAX","labels":["weekly","desk=eu"]`))
	require.NoError(t, err)
	require.Equal(t, []string{"desk=eu", "weekly"}, r.Labels)
	require.Nil(t, r.Tickers)
	r, err = job.ParseRequest(of(`"ticker":"DAX","notify_url":"https://hooks.example.com/a"`))
	require.NoError(t, err)
	require.Equal(t, "https://hooks.example.com/a", r.NotifyURL)

	r, err = job.ParseRequest(of(`"ticker":"DAX","labels":[]`))
	require.NoError(t, err)
	require.Nil(t, r.Labels)
	r, err = job.ParseRequest(of(`"tickers":["SMI","DAX"]`))
	require.NoError(t, err)
	require.Equal(t, []string{"SMI", "DAX"}, r.Tickers)
	require.Equal(t, "SMI", r.Sweep.Ticker)
}

func TestParseRequestRefuses(t *testing.T) {
	t.Parallel()
	many := func(n int, form string) string {
		words := make([]string, n)
		for i := range words {
			words[i] = fmt.Sprintf(form, i)
		}
		return `["` + strings.Join(words, `","`) + `"]`
	}
	for more, want := range map[string]string{
		`"ticker":"DAX","notify_url":"http://hooks.example.com/"`:     "notify_url: " + job.NotifyURLRule,
		`"ticker":"DAX","notify_url":""`:                              "notify_url: " + job.NotifyURLRule,
		`"ticker":"DAX","notify_url":null`:                            "notify_url: " + job.NotifyURLRule,
		`"ticker":"DAX","labels":"weekly"`:                            "labels: must be a list of strings",
		`"ticker":"DAX","labels":null`:                                "labels: must be a list of strings",
		`"ticker":"DAX","labels":["a",1]`:                             "labels: must be a list of strings",
		`"ticker":"DAX","labels":` + many(11, "l%d"):                  "labels: must be 10 at most",
		`"ticker":"DAX","labels":["a b"]`:                             "labels: each " + job.LabelRule,
		`"ticker":"DAX","labels":["` + strings.Repeat("a", 41) + `"]`: "labels: each " + job.LabelRule,
		`"ticker":"DAX","labels":["a\u0000"]`:                         "labels: each " + job.LabelRule,
		`"ticker":"DAX","labels":["a\n"]`:                             "labels: each " + job.LabelRule,
		`"ticker":"DAX","labels":["-a","a,b","é",""]`:                 "labels: each " + job.LabelRule,
		`"ticker":"DAX","labels":["a","b","a","a"]`:                   "labels: must not name one twice",
		`"tickers":[]`:                     "tickers: must not be empty; ticker: is required",
		`"tickers":["DAX","x"]`:            "tickers: each must be 3 to 20 characters of A-Z a-z 0-9 . - ^ = /",
		`"tickers":["DAX","SMI","DAX"]`:    "tickers: must not name one twice",
		`"tickers":["DAX"],"ticker":"DAX"`: "tickers: must not stand beside ticker",
		`"tickers":` + many(51, "TIC%d"):   "tickers: must be 50 at most",
		`"tickers":["DAX","DAX",""],"labels":["a b"],"step":0,"colour":1`: "",
	} {
		_, err := job.ParseRequest(of(more))
		var invalid job.Invalid
		require.ErrorAs(t, err, &invalid, more)
		if want != "" {
			require.ElementsMatch(t, strings.Split(want, "; "), strings.Split(invalid.Error(), "; "), more)
		} else { // all at once
			require.Len(t, invalid, 6, "%s", invalid) // step stands twice
		}
	}
}

func TestMemberID(t *testing.T) {
	t.Parallel()
	const group = "01900000-0000-7000-8000-000000000001"
	require.Equal(t, "0ed07d7b-6452-5bc8-8364-7b0d5b4bab17", job.MemberID(group, "DAX"), "it must never change: the same request would name other jobs")
	require.NotEqual(t, job.MemberID(group, "DAX"), job.MemberID(group, "SMI"))
	require.NotEqual(t, group, job.MemberID(group, "DAX"))
	require.True(t, job.ValidID(job.MemberID(group, "DAX")))
}

func FuzzParseRequest(f *testing.F) {
	f.Add(of(`"ticker":"DAX","labels":["weekly","desk=eu"]`))
	f.Add(of(`"tickers":["DAX","SMI"],"labels":[]`))
	f.Add(of(`"tickers":["DAX","DAX",""],"labels":["a b","\u0000"],"step":0,"colour":1`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := job.ParseRequest(body)
		if err != nil {
			var invalid job.Invalid
			require.ErrorAs(t, err, &invalid)
			return
		}
		require.NoError(t, r.Sweep.Validate())
		require.True(t, job.ValidLabels(r.Labels), r.Labels)
		require.LessOrEqual(t, len(r.Tickers), job.MaxTickers)
		for _, ticker := range r.Tickers {
			require.True(t, job.ValidTicker(ticker), ticker)
		}
	})
}
