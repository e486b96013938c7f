// Package heatmap lays the rows of a sweep out as a heat map: the score over
// fast and slow periods. The dashboard draws it as SVG, messages carry it as a
// picture; what stands where, and in which shade, is decided here.
package heatmap

import (
	"math"
	"slices"

	"github.com/zixly/sweepline/shared/job"
)

const (
	// MostColumns and MostLines bound a heat map; beyond, neighbouring periods
	// share a field.
	MostColumns, MostLines = 48, 32
	// Shades is the number of its colours.
	Shades = 9
)

// Colours of the shades, worst first: viridis, which gets lighter all the way
// and so can be read without seeing colours.
var Colours = [Shades][3]uint8{
	{0x44, 0x01, 0x54}, {0x47, 0x2d, 0x7b}, {0x3b, 0x52, 0x8b}, {0x2c, 0x72, 0x8e}, {0x21, 0x91, 0x8c},
	{0x28, 0xae, 0x80}, {0x5e, 0xc9, 0x62}, {0xad, 0xdc, 0x30}, {0xfd, 0xe7, 0x25},
}

// Point is what a heat map needs of a row: there may be very many.
type Point struct {
	FastPeriod, SlowPeriod int
	// SignalPeriod is nil where the strategy has none.
	SignalPeriod *int
	Score        float64
}

// PointOf takes it from a row.
func PointOf(r job.Row) Point {
	return Point{FastPeriod: r.FastPeriod, SlowPeriod: r.SlowPeriod, SignalPeriod: r.SignalPeriod, Score: r.Score}
}

// Map is a heat map. Columns are slow periods, lines fast ones.
type Map struct {
	Fast, Slow Axis
	// Fields are those that hold rows, by fast and then by slow period.
	Fields []Field
	// Best is the best point, BestField the field it lies in.
	Best      Point
	BestField Field
	// Rows counts all rows, Shared those of the fullest field.
	Rows, Shared int
	// Low, Middle and High are scores: the least, the median, the greatest.
	Low, Middle, High float64
	Scale             Scale
	// Signals says that rows differ in a third period.
	Signals bool
}

// Field is one rectangle of the map. It shows the best of its rows.
type Field struct {
	// Fast and Slow are bins of the axes.
	Fast, Slow int
	Score      float64
	Shade      int
}

// Of lays points out; false where there are too few to make an area.
func Of(points []Point) (Map, bool) {
	if len(points) < 2 {
		return Map{}, false
	}
	s := Map{
		Fast: axisOf(points, MostLines, func(p Point) int { return p.FastPeriod }),
		Slow: axisOf(points, MostColumns, func(p Point) int { return p.SlowPeriod }),
		Rows: len(points), Best: points[0],
	}
	best := make([]float64, s.Fast.Bins()*s.Slow.Bins())
	count := make([]int, len(best))
	scores := make([]float64, len(points))
	for i, p := range points {
		at := s.Fast.Bin(p.FastPeriod)*s.Slow.Bins() + s.Slow.Bin(p.SlowPeriod)
		if count[at] == 0 || p.Score > best[at] {
			best[at] = p.Score
		}
		count[at]++
		scores[i] = p.Score
		if p.Score > s.Best.Score {
			s.Best = p
		}
		s.Signals = s.Signals || p.SignalPeriod != nil
		s.Shared = max(s.Shared, count[at])
	}
	slices.Sort(scores)
	s.Low, s.Middle, s.High = scores[0], scores[len(scores)/2], scores[len(scores)-1]
	s.Scale = scaleOf(best, count)
	for at, n := range count {
		if n == 0 {
			continue
		}
		f := Field{Fast: at / s.Slow.Bins(), Slow: at % s.Slow.Bins(), Score: best[at], Shade: s.Scale.Shade(best[at])}
		s.Fields = append(s.Fields, f)
		if f.Fast == s.Fast.Bin(s.Best.FastPeriod) && f.Slow == s.Slow.Bin(s.Best.SlowPeriod) {
			s.BestField = f
		}
	}
	return s, true
}

// Scale maps scores to shades, evenly between Low and High.
type Scale struct{ Low, High float64 }

// scaleOf leaves the worst twentieth out of the scale, so that a few ruinous
// parameter sets do not make all others look alike.
func scaleOf(best []float64, count []int) Scale {
	var some []float64
	for i, n := range count {
		if n > 0 {
			some = append(some, best[i])
		}
	}
	slices.Sort(some)
	return Scale{some[len(some)/20], some[len(some)-1]}
}

// Shade is 0 to Shades-1.
func (s Scale) Shade(score float64) int {
	if s.High <= s.Low {
		return Shades - 1
	}
	return max(0, min(Shades-1, int(math.Floor(Shades*(score-s.Low)/(s.High-s.Low)))))
}

// From is the least score of a shade; the first takes what is below, too.
func (s Scale) From(shade int) float64 {
	return s.Low + float64(shade)*(s.High-s.Low)/Shades
}
