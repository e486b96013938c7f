package heatmap_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/zixly/sweepline/shared/heatmap"
)

// Whatever a sweep holds, its map is bounded and shows the best.
func TestOf(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		point := rapid.Custom(func(t *rapid.T) heatmap.Point {
			return heatmap.Point{
				FastPeriod: rapid.IntRange(1, 500).Draw(t, "fast"), SlowPeriod: rapid.IntRange(1, 500).Draw(t, "slow"),
				Score: rapid.Float64Range(-1e14, 1e14).Draw(t, "score"),
			}
		})
		points := rapid.SliceOfN(point, 2, 300).Draw(t, "points")
		s, ok := heatmap.Of(points)
		require.True(t, ok)
		require.LessOrEqual(t, s.Fast.Bins(), heatmap.MostLines)
		require.LessOrEqual(t, s.Slow.Bins(), heatmap.MostColumns)
		require.LessOrEqual(t, len(s.Fields), s.Fast.Bins()*s.Slow.Bins())
		best := points[0].Score
		for _, p := range points {
			best = max(best, p.Score)
			require.Less(t, s.Fast.Bin(p.FastPeriod), s.Fast.Bins())
		}
		require.Equal(t, best, s.Best.Score)
		require.Equal(t, best, s.BestField.Score)
		for _, f := range s.Fields {
			require.True(t, f.Shade >= 0 && f.Shade < heatmap.Shades)
			require.LessOrEqual(t, f.Score, best)
		}
		for _, ticks := range [][]heatmap.Tick{s.Fast.Ticks(5), s.Slow.Ticks(7)} {
			for i, tick := range ticks {
				require.True(t, tick.At > 0 && tick.At < 1)
				require.True(t, i == 0 || ticks[i-1].At < tick.At, "names do not lie on each other")
			}
		}
	})
	_, ok := heatmap.Of(make([]heatmap.Point, 1))
	require.False(t, ok)
}
