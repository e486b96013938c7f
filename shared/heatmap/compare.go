package heatmap

import (
	"math"
	"slices"
)

// Pair is two sweeps on one scale, with what lies between them.
type Pair struct {
	A, B Map
	// Differences are of the fields that both have over the same periods, in A's order.
	Differences []Difference
	// Most is the difference, in either direction, from which on the shade is the last one.
	Most float64
}

// Difference is a field of both maps.
type Difference struct {
	// Fast and Slow are bins of A's axes.
	Fast, Slow int
	A, B       float64
	// Shade is 0 where A is better by far, Shades-1 where B is, and the middle one where
	// they are alike.
	Shade int
}

// By is how much more B's figure is than A's.
func (d Difference) By() float64 { return d.B - d.A }

// Compare lays two surfaces out with one scale for both.
func Compare(a, b *Surface, metric int, stat Stat) Pair {
	p := Pair{A: a.Map(metric, stat), B: b.Map(metric, stat)}
	scale := Scale{
		Low: min(p.A.Scale.Low, p.B.Scale.Low), High: max(p.A.Scale.High, p.B.Scale.High),
		Descending: p.A.Scale.Descending && p.B.Scale.Descending,
	}
	for _, m := range []*Map{&p.A, &p.B} {
		m.Scale = scale
		for i := range m.Fields {
			m.Fields[i].Shade = scale.Shade(m.Fields[i].Score)
		}
		m.BestField = m.fieldOf(m.Best)
	}
	type periods struct{ fastFrom, fastTo, slowFrom, slowTo int }
	of := func(m Map, f Field) (at periods) {
		at.fastFrom, at.fastTo = m.Fast.Span(f.Fast)
		at.slowFrom, at.slowTo = m.Slow.Span(f.Slow)
		return at
	}
	figures := map[periods]float64{}
	for _, f := range p.B.Fields {
		figures[of(p.B, f)] = f.Score
	}
	var sizes []float64
	for _, f := range p.A.Fields {
		if figure, ok := figures[of(p.A, f)]; ok {
			p.Differences = append(p.Differences, Difference{Fast: f.Fast, Slow: f.Slow, A: f.Score, B: figure})
			sizes = append(sizes, math.Abs(figure-f.Score))
		}
	}
	if len(sizes) == 0 {
		return p
	}
	// As with the scale of a map, a few ruinous fields do not make all others look alike.
	slices.Sort(sizes)
	p.Most = sizes[len(sizes)-1-len(sizes)/20]
	both := Scale{Low: -p.Most, High: p.Most, Descending: scale.Descending}
	for i, d := range p.Differences {
		p.Differences[i].Shade = Shades / 2
		if p.Most > 0 {
			p.Differences[i].Shade = both.Shade(d.By())
		}
	}
	return p
}
