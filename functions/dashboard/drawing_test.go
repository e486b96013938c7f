package dashboard

import (
	"fmt"
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

func grid(fast, slow int) []heatmap.Point {
	var rows []heatmap.Point
	for f := range fast {
		for s := range slow {
			rows = append(rows, heatmap.Point{FastPeriod: 5 + f, SlowPeriod: 500 + s, Score: float64(f*slow + s)})
		}
	}
	return rows
}

func TestHeatMap(t *testing.T) {
	t.Parallel()
	s, ok := heatMapOf(grid(3, 4)[:11]) // one is missing
	require.True(t, ok)
	require.Len(t, s.Cells, 11)
	require.Equal(t, []string{"500", "501", "502", "503"}, s.Columns)
	require.Equal(t, line{Name: "7", Scores: []string{"8.00", "9.00", "10.00", ""}}, s.Lines[2])
	require.Equal(t, 10.0, s.Best.Score)
	require.Equal(t, "fast 7, slow 502: 10.00", s.BestCell.Title)
	require.Equal(t, heatmap.Shades-1, s.BestCell.Shade)
	require.Equal(t, 0, s.Cells[0].Shade)
	require.InDelta(t, 100-100.0/3, part(t, s.Cells[0].Y), 0.01, "the least fast period is at the bottom")
	require.Zero(t, part(t, s.BestCell.Y))
	require.Equal(t, 1, s.Shared)
	require.Equal(t, "0.00", s.Legend[0].From)
}

func TestHeatMapOfManyRows(t *testing.T) {
	t.Parallel()
	rows := grid(100, 200)
	s, ok := heatMapOf(rows)
	require.True(t, ok)
	require.LessOrEqual(t, len(s.Cells), heatmap.MostColumns*heatmap.MostLines)
	require.Equal(t, 20_000, s.Rows)
	require.Equal(t, 20, s.Shared, "four fast and five slow periods share a cell")
	require.Equal(t, rows[len(rows)-1], s.Best, "sharing hides no best one")
	require.Equal(t, "fast 101–104, slow 695–699: 19999.00", s.BestCell.Title)
	require.Equal(t, "699", s.XTicks[len(s.XTicks)-1].Label)
}

func TestHeatMapOfOddRows(t *testing.T) {
	t.Parallel()
	_, ok := heatMapOf(nil)
	require.False(t, ok)
	_, ok = heatMapOf(grid(1, 1))
	require.False(t, ok)
	flat := []heatmap.Point{{FastPeriod: 1, SlowPeriod: 2}, {FastPeriod: 1, SlowPeriod: 3}}
	s, ok := heatMapOf(flat)
	require.True(t, ok)
	require.Equal(t, heatmap.Shades-1, s.Cells[0].Shade, "all are best")
	nine := 9
	s, _ = heatMapOf([]heatmap.Point{{FastPeriod: 1, SlowPeriod: 2, SignalPeriod: &nine, Score: -3}, {FastPeriod: 1, SlowPeriod: 2, Score: -1}})
	require.Len(t, s.Cells, 1)
	require.Equal(t, "-1.00", s.Lines[0].Scores[0], "the best of those that share it")
}

func TestHeatMapsAreFew(t *testing.T) {
	t.Parallel()
	var s heatMaps
	for i := range 3 * keptHeatMaps {
		s.keep(strconv.Itoa(i%(2*keptHeatMaps)), &heatMap{})
	}
	require.Len(t, s.kept, keptHeatMaps)
	require.Len(t, s.order, keptHeatMaps)
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
