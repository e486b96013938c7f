// Package heatmap lays the rows of a sweep out over fast and slow periods: how each row
// stands to its neighbours, the surface that all rows make, and heat maps of it, one for
// each metric and stat. collect computes it when the rows are stored, the dashboard draws
// it as SVG, messages carry it as a picture; what stands where, and in which shade, is
// decided here.
package heatmap

import (
	"math"
	"slices"
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

// Point is a row of a sweep in short.
type Point struct {
	FastPeriod int `json:"fast_period"`
	SlowPeriod int `json:"slow_period"`
	// SignalPeriod is nil where the strategy has none.
	SignalPeriod *int    `json:"signal_period,omitempty"`
	Score        float64 `json:"score"`
}

// Map is a heat map. Columns are slow periods, lines fast ones.
type Map struct {
	Metric Metric
	Stat   Stat

	Fast, Slow Axis
	// Fields are those that hold rows, by fast and then by slow period.
	Fields []Field
	// Best is the row with the best figure, which is Value, and BestField the field it
	// lies in.
	Best      Point
	Value     float64
	BestField Field
	// Robust is the row with the best neighbourhood; nil where rows have none.
	Robust *Robust
	// Rows counts all rows, Shared those of the fullest field.
	Rows, Shared int
	// Low, Middle and High are figures of rows: the least, the median, the greatest.
	Low, Middle, High float64
	Scale             Scale
	// Signals says that rows differ in a third period.
	Signals bool
}

// Field is one rectangle of the map.
type Field struct {
	// Fast and Slow are bins of the axes.
	Fast, Slow int
	// Score is the figure that is shown.
	Score float64
	Shade int
	// Plateau says that the field belongs to the plateau: those around the robust row in
	// which no row scores less than its neighbourhood does.
	Plateau bool
	high    bool
}

func (m *Map) fieldOf(p Point) Field {
	fast, slow := m.Fast.Bin(p.FastPeriod), m.Slow.Bin(p.SlowPeriod)
	for _, f := range m.Fields {
		if f.Fast == fast && f.Slow == slow {
			return f
		}
	}
	return Field{}
}

// plateau marks the fields that are reached from the robust row's over fields that are
// high.
func (m *Map) plateau() {
	at := map[[2]int]*Field{}
	for i := range m.Fields {
		at[[2]int{m.Fields[i].Fast, m.Fields[i].Slow}] = &m.Fields[i]
	}
	next := [][2]int{{m.Fast.Bin(m.Robust.FastPeriod), m.Slow.Bin(m.Robust.SlowPeriod)}}
	for len(next) > 0 {
		f := at[next[0]]
		x := next[0]
		if next = next[1:]; f == nil || f.Plateau || !f.high {
			continue
		}
		f.Plateau = true
		next = append(next, [2]int{x[0] - 1, x[1]}, [2]int{x[0] + 1, x[1]}, [2]int{x[0], x[1] - 1}, [2]int{x[0], x[1] + 1})
	}
}

// Scale maps figures to shades, evenly between Low and High. The best shade is that of
// High, or of Low where the scale is Descending.
type Scale struct {
	Low, High  float64
	Descending bool
}

// scaleOf leaves the worst twentieth out of the scale, so that a few ruinous
// parameter sets do not make all others look alike.
func scaleOf(figures []float32, descending bool) Scale {
	some := slices.Sorted(slices.Values(figures))
	out := len(some) / 20
	if descending {
		return Scale{float64(some[0]), float64(some[len(some)-1-out]), true}
	}
	return Scale{Low: float64(some[out]), High: float64(some[len(some)-1])}
}

// Shade is 0 to Shades-1.
func (s Scale) Shade(figure float64) int {
	if s.High <= s.Low {
		return Shades - 1
	}
	part := (figure - s.Low) / (s.High - s.Low)
	if s.Descending {
		part = 1 - part
	}
	return max(0, min(Shades-1, int(math.Floor(Shades*part))))
}

// From is the figure at which a shade begins; the first takes what is worse, too.
func (s Scale) From(shade int) float64 {
	part := float64(shade) / Shades
	if s.Descending {
		part = 1 - part
	}
	return s.Low + part*(s.High-s.Low)
}

// Top is the best figure of the scale.
func (s Scale) Top() float64 {
	if s.Descending {
		return s.Low
	}
	return s.High
}
