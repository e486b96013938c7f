package heatmap_test

import (
	"encoding/json"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/zixly/sweepline/shared/heatmap"
	"github.com/zixly/sweepline/shared/job"
)

// Whatever a sweep holds, its maps are bounded and show the best, and none gets lost on
// the way through the store.
func TestMaps(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		figure := rapid.Float64Range(-1e14, 1e14)
		row := rapid.Custom(func(t *rapid.T) job.Row {
			return job.Row{
				FastPeriod: rapid.IntRange(1, 500).Draw(t, "fast"), SlowPeriod: rapid.IntRange(1, 500).Draw(t, "slow"),
				Score: figure.Draw(t, "score"), MaxDrawdownPct: rapid.Float64Range(0, 100).Draw(t, "drawdown"), SharpeRatio: figure.Draw(t, "sharpe"),
			}
		})
		rows := rapid.SliceOfN(row, 2, 300).Draw(t, "rows")
		whole, ok := heatmap.SurfaceOf(judged(rows, 1))
		require.True(t, ok)
		packed, err := whole.Encode()
		require.NoError(t, err)
		s, err := heatmap.DecodeSurface(packed)
		require.NoError(t, err)
		require.Equal(t, whole, s)
		text, err := json.Marshal(whole)
		require.NoError(t, err)
		s, err = heatmap.ParseSurface(text)
		require.NoError(t, err)
		require.Equal(t, whole, s)
		for i, metric := range heatmap.Metrics {
			for _, stat := range heatmap.Stats {
				m := s.Map(i, stat)
				require.LessOrEqual(t, m.Fast.Bins(), heatmap.MostLines)
				require.LessOrEqual(t, m.Slow.Bins(), heatmap.MostColumns)
				require.LessOrEqual(t, len(m.Fields), m.Fast.Bins()*m.Slow.Bins())
				for _, f := range m.Fields {
					require.True(t, f.Shade >= 0 && f.Shade < heatmap.Shades)
				}
				if stat == heatmap.Best {
					require.InEpsilon(t, 1+math.Abs(m.Value), 1+math.Abs(m.BestField.Score), 1e-6, metric.Name)
				}
			}
		}
		m := s.Map(0, heatmap.Best)
		require.Equal(t, slices.MaxFunc(rows, byScore).Score, m.Best.Score)
		least := s.Map(heatmap.MetricOf("max_drawdown_pct"), heatmap.Best)
		for _, r := range rows {
			require.GreaterOrEqual(t, r.MaxDrawdownPct, least.Value, "less is better")
		}
		for _, ticks := range [][]heatmap.Tick{m.Fast.Ticks(5), m.Slow.Ticks(7)} {
			for i, tick := range ticks {
				require.True(t, tick.At > 0 && tick.At < 1)
				require.True(t, i == 0 || ticks[i-1].At < tick.At, "names do not lie on each other")
			}
		}
	})
	_, ok := heatmap.SurfaceOf(make([]heatmap.Spot, 1))
	require.False(t, ok)
	for _, bad := range []string{"", "x"} {
		_, err := heatmap.DecodeSurface([]byte(bad))
		require.Error(t, err)
	}
	packed, err := heatmap.Surface{}.Encode()
	require.NoError(t, err)
	_, err = heatmap.DecodeSurface(packed)
	require.Error(t, err)
	for _, bad := range []string{"", "null", "{}", `{"fast":[1],"slow":[1],"filled":[7],"layers":[{},{},{},{},{},{},{},{}]}`} {
		_, err := heatmap.ParseSurface([]byte(bad))
		require.Error(t, err, bad)
	}
}

func byScore(a, b job.Row) int {
	switch {
	case a.Score < b.Score:
		return -1
	case a.Score > b.Score:
		return 1
	}
	return 0
}

func judged(rows []job.Row, step int) []heatmap.Spot {
	var spots []heatmap.Spot
	for _, r := range rows {
		spots = append(spots, heatmap.SpotOf(r))
	}
	heatmap.Judge(spots, step)
	return spots
}

// The neighbourhood of each row is what a look at all rows finds.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		step := rapid.IntRange(1, 4).Draw(t, "step")
		place := rapid.Custom(func(t *rapid.T) [3]int {
			return [3]int{rapid.IntRange(1, 30).Draw(t, "fast"), rapid.IntRange(1, 30).Draw(t, "slow"), rapid.IntRange(0, 2).Draw(t, "signal")}
		})
		var rows []job.Row
		for _, p := range rapid.SliceOfNDistinct(place, 1, 300, rapid.ID).Draw(t, "places") {
			r := job.Row{FastPeriod: p[0], SlowPeriod: p[1], Score: rapid.Float64Range(-100, 100).Draw(t, "score")}
			if p[2] > 0 {
				r.SignalPeriod = &p[2]
			}
			rows = append(rows, r)
		}
		heatmap.JudgeRows(rows, step)
		signal := func(r job.Row) int {
			if r.SignalPeriod == nil {
				return 0
			}
			return *r.SignalPeriod
		}
		near := func(a, b int) bool { d := max(a-b, b-a); return d%step == 0 && d <= heatmap.Reach*step }
		for _, r := range rows {
			var scores []float64
			for _, o := range rows {
				if near(r.FastPeriod, o.FastPeriod) && near(r.SlowPeriod, o.SlowPeriod) && signal(r) == signal(o) {
					scores = append(scores, o.Score)
				}
			}
			if len(scores) == 1 {
				require.Nil(t, r.NeighbourWorst)
				require.Nil(t, r.NeighbourMedian)
				continue
			}
			slices.Sort(scores)
			n := len(scores)
			require.Equal(t, scores[0], *r.NeighbourWorst)
			require.InDelta(t, (scores[(n-1)/2]+scores[n/2])/2, *r.NeighbourMedian, 1e-9)
		}
	})
}

// A spike is the best, a plateau is robust.
func TestPlateau(t *testing.T) {
	t.Parallel()
	var rows []job.Row
	for fast := 1; fast <= 20; fast++ {
		for slow := 1; slow <= 20; slow++ {
			r := job.Row{FastPeriod: fast, SlowPeriod: slow, Score: 10}
			if fast >= 3 && fast <= 9 && slow >= 10 && slow <= 17 {
				r.Score = 60
			}
			if fast == 15 && slow == 5 {
				r.Score = 90
			}
			rows = append(rows, r)
		}
	}
	s, ok := heatmap.SurfaceOf(judged(rows, 1))
	require.True(t, ok)
	m := s.Map(0, heatmap.Best)
	require.Equal(t, [2]int{15, 5}, [2]int{m.Best.FastPeriod, m.Best.SlowPeriod})
	require.Equal(t, [2]float64{60, 60}, [2]float64{m.Robust.Score, m.Robust.Worst})
	require.True(t, m.Robust.FastPeriod >= 5 && m.Robust.FastPeriod <= 7)
	n := 0
	for _, f := range m.Fields {
		if f.Plateau {
			require.Equal(t, 60.0, f.Score)
			n++
		}
	}
	require.Equal(t, 7*8, n)

	_, ok = heatmap.SurfaceOf(judged([]job.Row{{FastPeriod: 1, SlowPeriod: 2}, {FastPeriod: 100, SlowPeriod: 200}}, 1))
	require.True(t, ok, "without neighbours there is no robust row")
}

// BenchmarkSurface computes the largest sweep.
func BenchmarkSurface(b *testing.B) {
	var rows []job.Row
	for fast := 1; fast < 500; fast++ {
		for slow := fast + 1; slow <= 500; slow++ {
			rows = append(rows, job.Row{FastPeriod: fast, SlowPeriod: slow, Score: float64(fast*slow%977) / 10, TotalTrades: slow, SharpeRatio: 1 / float64(fast)})
		}
	}
	for b.Loop() {
		s, _ := heatmap.SurfaceOf(judged(rows, 1))
		packed, err := s.Encode()
		require.NoError(b, err)
		b.ReportMetric(float64(len(packed))/1024, "KiB")
	}
}
