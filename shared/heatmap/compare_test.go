package heatmap

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
)

func surfaceOf(t *testing.T, rows ...job.Row) *Surface {
	t.Helper()
	var spots []Spot
	for _, r := range rows {
		spots = append(spots, SpotOf(r))
	}
	Judge(spots, 1)
	s, ok := SurfaceOf(spots)
	require.True(t, ok)
	return &s
}

func TestCompare(t *testing.T) {
	t.Parallel()
	row := func(fast, slow int, score, drawdown float64) job.Row {
		return job.Row{FastPeriod: fast, SlowPeriod: slow, Score: score, MaxDrawdownPct: drawdown}
	}
	a := surfaceOf(t, row(5, 20, 1, 10), row(5, 30, 2, 20), row(10, 20, 3, 30), row(10, 40, 9, 1))
	b := surfaceOf(t, row(5, 20, 2, 5), row(5, 30, 2, 20), row(10, 20, 1, 40), row(15, 20, 4, 2))

	p := Compare(a, b, 0, Best)
	require.Equal(t, Scale{Low: 1, High: 9}, p.A.Scale)
	require.Equal(t, p.A.Scale, p.B.Scale)
	require.Equal(t, p.A.Scale.Shade(4), p.B.BestField.Shade, "the best of b is in the shade of both")
	var by []float64
	var shades []int
	for _, d := range p.Differences {
		by, shades = append(by, d.By()), append(shades, d.Shade)
	}
	require.Equal(t, []float64{1, 0, -2}, by, "of the fields that both have")
	require.InDelta(t, 2, p.Most, 1e-9)
	require.Equal(t, []int{6, 4, 0}, shades)

	p = Compare(a, b, MetricOf("max_drawdown_pct"), Best)
	shades = nil
	for _, d := range p.Differences {
		shades = append(shades, d.Shade)
	}
	require.Equal(t, []int{6, 4, 0}, shades, "less of a loss is better")

	same := Compare(a, a, 0, Best)
	require.Len(t, same.Differences, 4)
	for _, d := range same.Differences {
		require.Equal(t, Shades/2, d.Shade)
	}
	require.Empty(t, Compare(a, surfaceOf(t, row(6, 21, 1, 1), row(7, 22, 1, 1)), 0, Best).Differences)
}
