package jobstoretest

import (
	"fmt"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

// Bench measures what a pipeline asks of a job store most. settle lets a database
// that gathers statistics in the background do so at once; it may be nil.
func Bench(b *testing.B, open func(b *testing.B) jobstore.Store, settle func(b *testing.B)) {
	b.Helper()
	for _, n := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("apply %d", n), func(b *testing.B) {
			l := open(b)
			for b.Loop() {
				events := make([]cloudevents.Event, n)
				for i := range events {
					events[i] = Life(b, Header("default")).Requested
				}
				require.NoError(b, jobstore.Errors(l.Apply(b.Context(), events...)))
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "events/s")
		})
	}
	for _, n := range []int{1000, 100_000} {
		b.Run(fmt.Sprintf("complete %d rows", n), func(b *testing.B) {
			l, rows := open(b), Rows(n)
			for b.Loop() {
				Complete(b, l, Header("default"), rows)
			}
		})
	}
	b.Run("100000 jobs", func(b *testing.B) { benchReads(b, open(b), settle) })
}

func benchReads(b *testing.B, l jobstore.Store, settle func(b *testing.B)) {
	const n = 100_000
	tickers := []string{"DAX", "SMI", "CAC", "FTSE"}
	group := ""
	for start := 0; start < n; start += 1000 {
		events := make([]cloudevents.Event, 1000)
		for i := range events {
			h := Header("default")
			h.CreatedAt = Start.Add(time.Duration(start+i) * time.Second)
			h.Parameters.Ticker = tickers[i%4]
			if i%10 == 0 {
				h.Labels, h.GroupID = []string{"weekly"}, group
			}
			if (start+i)%20 == 0 {
				group = h.JobID
			}
			e, rows := Life(b, h), Rows(1)
			rows[0].Score = float64(i*7919%1000) / 8
			events[i] = []cloudevents.Event{e.Requested, e.Submitted, e.Failed, Collected(b, h, rows)}[i/4%4]
		}
		require.NoError(b, jobstore.Errors(l.Apply(b.Context(), events...)))
	}
	if settle != nil {
		settle(b)
	}
	p, err := l.Jobs(b.Context(), "default", jobstore.Query{Until: Start.Add(n / 2 * time.Second)})
	require.NoError(b, err)
	middle := p.Next
	best, err := l.Jobs(b.Context(), "default", jobstore.Query{Sort: jobstore.BestFirst, Limit: 500})
	require.NoError(b, err)
	for name, q := range map[string]jobstore.Query{
		"first page":       {},
		"middle page":      {Cursor: middle},
		"status":           {Status: []job.State{job.Failed, job.Running}},
		"ticker":           {Ticker: "SMI", Cursor: middle},
		"best":             {Sort: jobstore.BestFirst},
		"best, next page":  {Sort: jobstore.BestFirst, Cursor: best.Next},
		"best of a ticker": {Sort: jobstore.BestFirst, Ticker: "SMI"},
		"best of none":     {Sort: jobstore.BestFirst, Ticker: "NONE"},
		"best completed":   {Sort: jobstore.BestFirst, Status: []job.State{job.Completed}},
		"label":            {Labels: []string{"weekly"}},
		"label that isn't": {Labels: []string{"monthly"}},
		"best of a label":  {Labels: []string{"weekly"}, Sort: jobstore.BestFirst},
		"group":            {Group: group, Sort: jobstore.BestFirst},
		"prefix":           {Prefix: best.Jobs[0].JobID[:35]},
		"prefix of none":   {Prefix: "ffffffff"},
		"text that is":     {Text: "cac"},
		"text that is not": {Text: "nowhere"},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, err := l.Jobs(b.Context(), "default", q)
				require.NoError(b, err)
			}
		})
	}
	month := jobstore.LatestIntervals(Start.Add(n*time.Second), 24*time.Hour, 30)
	b.Run("activity", func(b *testing.B) {
		for b.Loop() {
			_, err := l.Activity(b.Context(), "default", month)
			require.NoError(b, err)
		}
	})
	b.Run("counts", func(b *testing.B) {
		for b.Loop() {
			_, err := l.Counts(b.Context(), "default", jobstore.Query{})
			require.NoError(b, err)
		}
	})
}
