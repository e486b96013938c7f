package dashboard

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/heatmap"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs"
)

var begun = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(seconds int) time.Time { return begun.Add(time.Duration(seconds) * time.Second) }

func part(t *testing.T, text string) float64 {
	t.Helper()
	f, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
	require.NoError(t, err)
	return f
}

func TestWaterfall(t *testing.T) {
	t.Parallel()
	w := draw(jobs.Found{Job: job.Job{Status: job.Failed}, Settled: true}, []job.TimelineEvent{
		{Type: event.SweepRequested, Time: at(0)},
		{Type: event.SweepAdmitted, Time: at(50)},
		{Type: event.SweepSubmitted, Time: at(51), Attempt: 3},
		{Type: event.SweepFailed, Time: at(100), Data: map[string]any{"via": "deadline", "error_message": "too slow"}},
		{Type: event.JobFailed, Time: at(99), Error: "too slow"}, // its clock is late
		{Type: event.JobNotified, Time: at(100), Data: map[string]any{"channel": "slack"}},
	}, at(1000))
	require.Len(t, w.Bars, 6)
	require.Equal(t, "1 min 40 s", w.Total)
	require.Equal(t, bar{Name: "Waited for a slot", Kind: "wait", From: "0.000%", Width: "50.000%", Took: "50.0 s", At: at(50)}, w.Bars[1])
	require.Equal(t, 3, w.Bars[2].Attempt)
	require.Equal(t, "bad the deadline passed too slow", w.Bars[3].Kind+" "+w.Bars[3].Note+" "+w.Bars[3].Error)
	require.Equal(t, "51.000%", w.Bars[3].From)
	require.Empty(t, w.Bars[4].Took, "no step takes less than no time")
	require.Empty(t, w.Bars[4].Error, "once is enough")
	for _, b := range w.Bars {
		require.LessOrEqual(t, part(t, b.From)+part(t, b.Width), 100.001)
		require.GreaterOrEqual(t, part(t, b.Width), narrowest)
	}
	require.Equal(t, "50.0 s", w.Ticks[2].Label)
}

// A channel that was given up is seen, of a job that its owner cancelled, too.
func TestWaterfallOfAFailedNotification(t *testing.T) {
	t.Parallel()
	for _, code := range []job.ErrorCode{job.TimedOut, job.Cancelled} {
		w := draw(jobs.Found{Job: job.Job{Status: job.Failed, ErrorCode: code}, Settled: true}, []job.TimelineEvent{
			{Type: event.SweepRequested, Time: at(0)},
			{Type: event.JobFailed, Time: at(99), Error: "too slow"},
			{Type: event.JobNotified, Time: at(100), Data: map[string]any{"channel": "slack"}},
			{Type: event.JobNotified, Time: at(100), Error: "notify_url answered 404", Data: map[string]any{"channel": "url"}},
		}, at(1000))
		require.Equal(t, "Notified work slack", w.Bars[2].Name+" "+w.Bars[2].Kind+" "+w.Bars[2].Note)
		require.Equal(t, "Not notified bad url notify_url answered 404", w.Bars[3].Name+" "+w.Bars[3].Kind+" "+w.Bars[3].Note+" "+w.Bars[3].Error)
	}
}

func TestWaterfallOfAnOpenJob(t *testing.T) {
	t.Parallel()
	events := []job.TimelineEvent{{Type: event.SweepRequested, Time: at(0)}}
	for name, j := range map[string]jobs.Found{
		"Waiting for a slot":            {Job: job.Job{Status: job.Queued}, Place: 2},
		"On its way to the trading API": {Job: job.Job{Status: job.Queued}},
		"Running at the trading API":    {Job: job.Job{Status: job.Running, Progress: 40}},
		"Fetching and storing results":  {Job: job.Job{Status: job.Running}, Ending: true},
	} {
		w := draw(j, events, at(10))
		require.Equal(t, name, w.Bars[1].Name)
		require.Equal(t, "open 0.000% 100.000%", w.Bars[1].Kind+" "+w.Bars[1].From+" "+w.Bars[1].Width)
	}
	storing := jobs.Found{Job: job.Job{Status: job.Running, Collecting: &job.Collecting{Rows: 1500, Total: 100_000}}, Ending: true}
	require.Equal(t, "1\u202f500 of 100\u202f000 rows", draw(storing, events, at(10)).Bars[1].Note)
	storing.Collecting.Total = 0
	require.Equal(t, "1\u202f500 rows", draw(storing, events, at(10)).Bars[1].Note)
	require.Empty(t, draw(jobs.Found{}, nil, at(0)).Bars)
}

func grid(fast, slow int) []job.Row {
	var rows []job.Row
	for f := range fast {
		for s := range slow {
			rows = append(rows, job.Row{FastPeriod: 5 + f, SlowPeriod: 500 + s, Score: float64(f*slow + s), MaxDrawdownPct: float64(1 + f*slow + s)})
		}
	}
	return rows
}

func drawn(t *testing.T, rows []job.Row, query string) *heatMap {
	t.Helper()
	s, ok := heatmap.OfRows(rows, 1)
	require.True(t, ok)
	u, err := url.Parse("/jobs/x?" + query)
	require.NoError(t, err)
	return heatMapOf(&s, readQuery(u))
}

func TestHeatMap(t *testing.T) {
	t.Parallel()
	s := drawn(t, grid(3, 4)[:11], "") // one is missing
	require.Len(t, s.Cells, 11)
	require.Equal(t, []string{"500", "501", "502", "503"}, s.Columns)
	last := s.Lines[2]
	require.Equal(t, []string{"7", "8.00", "9.00", "10.00", ""}, []string{last.Name, last.Cells[0].Text, last.Cells[1].Text, last.Cells[2].Text, last.Cells[3].Text})
	require.Empty(t, last.Cells[3].Href)
	require.Equal(t, 10.0, s.Value)
	require.Equal(t, "fast 7, slow 502: 10.00", s.BestCell.Title)
	require.Equal(t, heatmap.Shades-1, s.BestCell.Shade)
	require.True(t, s.BestCell.Entry)
	require.Equal(t, "/jobs/x?where=fast%3E%3D7%2C+fast%3C%3D7%2C+slow%3E%3D502%2C+slow%3C%3D502#results", s.BestCell.Href)
	require.Equal(t, 0, s.Cells[0].Shade)
	require.InDelta(t, 100-100.0/3, part(t, s.Cells[0].Y), 0.01, "the least fast period is at the bottom")
	require.Zero(t, part(t, s.BestCell.Y))
	require.Equal(t, 1, s.Shared)
	require.Equal(t, "0.00", s.Legend[0].From)

	s = drawn(t, grid(3, 4), "metric=max_drawdown_pct&stat=worst&sort=trades&where=score>1")
	require.Equal(t, "fast 5, slow 500: 1.00", s.BestCell.Title, "the least drawdown is the best")
	require.Equal(t, heatmap.Shades-1, s.BestCell.Shade)
	require.Contains(t, s.Metrics[0].Href, "sort=total_trades")
	require.Contains(t, s.Metrics[0].Href, "where=score%3E1", "the rows stay")
	require.True(t, s.Metrics[heatmap.MetricOf("max_drawdown_pct")].Now)
	require.True(t, drawn(t, grid(3, 4), "metric=nonsense&stat=x").Metrics[0].Now)
}

func TestHeatMapOfManyRows(t *testing.T) {
	t.Parallel()
	rows := grid(100, 200)
	s := drawn(t, rows, "")
	require.LessOrEqual(t, len(s.Cells), heatmap.MostColumns*heatmap.MostLines)
	require.Equal(t, 20_000, s.Rows)
	require.Equal(t, 20, s.Shared, "four fast and five slow periods share a cell")
	require.Equal(t, rows[len(rows)-1].Score, s.Best.Score, "sharing hides no best one")
	require.Equal(t, "fast 101–104, slow 695–699: 19999.00", s.BestCell.Title)
	require.Equal(t, "699", s.XTicks[len(s.XTicks)-1].Label)
	require.Equal(t, "fast 101–104, slow 695–699: 19395.00", drawn(t, rows, "stat=worst").BestCell.Title)
	require.Equal(t, "fast 101–104, slow 695–699: 19697.00", drawn(t, rows, "stat=median").BestCell.Title)
}

func TestHeatMapOfOddRows(t *testing.T) {
	t.Parallel()
	s := drawn(t, []job.Row{{FastPeriod: 1, SlowPeriod: 2}, {FastPeriod: 1, SlowPeriod: 3}}, "")
	require.Equal(t, heatmap.Shades-1, s.Cells[0].Shade, "all are best")
	nine := 9
	s = drawn(t, []job.Row{{FastPeriod: 1, SlowPeriod: 2, SignalPeriod: &nine, Score: -3}, {FastPeriod: 1, SlowPeriod: 2, Score: -1}}, "")
	require.Len(t, s.Cells, 1)
	require.Equal(t, "-1.00", s.Lines[0].Cells[0].Text, "the best of those that share it")
	require.Empty(t, s.Edges)
}

// The plateau has a line around it, and only there.
func TestPlateauIsOutlined(t *testing.T) {
	t.Parallel()
	var rows []job.Row
	for fast := 1; fast <= 12; fast++ {
		for slow := 20; slow < 32; slow++ {
			r := job.Row{FastPeriod: fast, SlowPeriod: slow, Score: 1}
			if fast >= 4 && fast <= 8 && slow >= 22 && slow <= 27 {
				r.Score = 50
			}
			rows = append(rows, r)
		}
	}
	require.Len(t, drawn(t, rows, "").Edges, 2*5+2*6)
	require.Len(t, drawn(t, rows, "metric=total_trades&stat=median").Edges, 2*5+2*6, "on every map")
}

func TestPageQuery(t *testing.T) {
	t.Parallel()
	read := func(query string) jobQuery {
		u, err := url.Parse("/jobs/x?" + query)
		require.NoError(t, err)
		return readQuery(u)
	}
	require.True(t, read("").first())
	require.True(t, read("sort=nonsense&dir=x&from=-3&where=+,").first())
	require.Empty(t, read("sort=nonsense").Problems, "people get the page")
	q := read("sort=drawdown&from=40&where=trades>=30,fast>=5,fast<=9,slow>=20,slow<=40")
	require.Equal(t, []any{"max_drawdown_pct", true, 40, 5}, []any{q.rows.By, q.rows.Ascending, q.rows.Offset, len(q.rows.Where)})
	fast, slow, closed := q.region()
	require.Equal(t, []any{[2]int{5, 9}, [2]int{20, 40}, true}, []any{fast, slow, closed})
	_, _, closed = read("where=fast>=5,fast<=9,slow>=20").region()
	require.False(t, closed)
	require.Equal(t, q, read(strings.TrimSuffix(strings.TrimPrefix(q.href("#results"), "/jobs/x?"), "#results")), "a link leads where it says")
	bad := read("where=trades>=x,score>1")
	require.Len(t, bad.Problems, 1)
	require.Empty(t, bad.rows.Where)
	require.LessOrEqual(t, len(read("where="+strings.Repeat("score>1,", 200)).conditions()), longestWhere)
	require.Contains(t, around(job.Sweep{Step: 5, Ticker: "DAX"}, heatmap.Point{FastPeriod: 5, SlowPeriod: 495}), "fast_from=1&fast_to=15&min_trades=0&slow_from=485&slow_to=500&step=1")
}

func TestRowsThatBeatTheBenchmark(t *testing.T) {
	t.Parallel()
	rows := grid(3, 4)
	rows[5].TotalReturnPct = 240
	s, _ := heatmap.OfRows(rows, 1)
	beats := func(held *float64) string {
		return jobQuery{Path: "/jobs/x", Stat: heatmap.Best}.beats(&s, &job.Metrics{Data: &job.Data{BuyAndHoldPct: held}})
	}
	for held, want := range map[float64]string{236.07: "/jobs/x?sort=total_return_pct&where=return%3E236.07#results", 240: "", 300: ""} {
		require.Equal(t, want, beats(&held))
	}
	require.Empty(t, beats(nil))
	require.Empty(t, jobQuery{}.beats(&s, nil))
	require.Equal(t, "1.50", number(new(1.5)))
	require.Empty(t, number((*float64)(nil)))
}

func TestSurfacesAreFew(t *testing.T) {
	t.Parallel()
	var s surfaces
	for i := range 3 * keptSurfaces {
		s.keep(strconv.Itoa(i%(2*keptSurfaces)), &heatmap.Surface{})
	}
	require.Len(t, s.kept, keptSurfaces)
	require.Len(t, s.order, keptSurfaces)
}

func TestSpan(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0 s", time.Microsecond: "1 ms", 59 * time.Second: "59.0 s", 59970 * time.Millisecond: "1 min 00 s",
		3599800 * time.Millisecond: "1 h 00 min", 26 * time.Hour: "26 h 00 min", 72 * time.Hour: "3 days",
	} {
		require.Equal(t, want, span(d))
	}
	require.Equal(t, "1\u202f234\u202f567", grouped(1234567))
	require.Equal(t, "-123", grouped(-123))
}

func TestTraceURL(t *testing.T) {
	t.Parallel()
	require.NoError(t, checkTraceURL("https://x/{trace_id}?a=b"))
	for _, bad := range []string{"https://x/", "javascript:{trace_id}", "/{trace_id}", "http://%zz/{trace_id}"} {
		require.ErrorContains(t, checkTraceURL(bad), "TRACE_URL")
	}
}

func TestTheStyleHasTheShades(t *testing.T) {
	t.Parallel()
	style, err := assetFiles.ReadFile("assets/app.css")
	require.NoError(t, err)
	for i, c := range heatmap.Colours {
		require.Contains(t, string(style), fmt.Sprintf(".s%d { fill: #%02x%02x%02x; }", i, c[0], c[1], c[2]))
	}
}
