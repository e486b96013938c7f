package heatmap

import (
	"math"
	"slices"

	"github.com/zixly/sweepline/shared/job"
)

// NumMetrics is how many metrics there are a map of.
const NumMetrics = 8

// Metric is a figure of rows that there is a map of.
type Metric struct {
	// Name is the figure's in the rows' JSON.
	Name string
	// Label names it for people.
	Label string
	// Loss: less of it is better, where it is told as a positive number.
	Loss bool
}

// Metrics are all of them; the first is what everything else is judged by.
var Metrics = [NumMetrics]Metric{
	{Name: "score", Label: "Score"},
	{Name: "sharpe_ratio", Label: "Sharpe"},
	{Name: "sortino_ratio", Label: "Sortino"},
	{Name: "total_return_pct", Label: "Return %"},
	{Name: "max_drawdown_pct", Label: "Drawdown %", Loss: true},
	{Name: "win_rate_pct", Label: "Win rate %"},
	{Name: "profit_factor", Label: "Profit factor"},
	{Name: "total_trades", Label: "Trades"},
}

// MetricOf is the index of a metric by its name; of the score for any other name.
func MetricOf(name string) int {
	return max(0, slices.IndexFunc(Metrics[:], func(m Metric) bool { return m.Name == name }))
}

func valuesOf(r job.Row) [NumMetrics]float64 {
	return [NumMetrics]float64{
		r.Score, r.SharpeRatio, r.SortinoRatio, r.TotalReturnPct, r.MaxDrawdownPct, r.WinRatePct, r.ProfitFactor, float64(r.TotalTrades),
	}
}

// Stat is what a field of a map shows of its rows.
type Stat string

// The stats of a field.
const (
	Best   Stat = "best"
	Median Stat = "median"
	Worst  Stat = "worst"
)

// Stats are all of them.
var Stats = []Stat{Best, Median, Worst}

// StatOf is a stat by its name; Best for any other name.
func StatOf(name string) Stat {
	if s := Stat(name); slices.Contains(Stats, s) {
		return s
	}
	return Best
}

// Layer is one metric over the fields of a surface.
type Layer struct {
	// Descending: less is better.
	Descending bool `json:"descending,omitempty"`
	// Top is the row with the best of it, Value what that is.
	Top   Point   `json:"top"`
	Value float64 `json:"value"`
	// Low, Middle and High are the least figure, the median, the greatest.
	Low    float64 `json:"low"`
	Middle float64 `json:"middle"`
	High   float64 `json:"high"`
	// Of has a figure for each field that holds rows, in the order of Surface.Filled.
	Of map[Stat][]float32 `json:"of"`
}

// layer computes one metric; places are the spots of each field.
func layer(metric int, spots []Spot, fields [][]int32) Layer {
	l := Layer{Of: map[Stat][]float32{}}
	of := func(at int32) float64 { return spots[at].Values[metric] }
	all := make([]float64, len(spots))
	for i := range spots {
		all[i] = of(int32(i))
	}
	slices.Sort(all)
	l.Low, l.Middle, l.High = all[0], all[len(all)/2], all[len(all)-1]
	l.Descending = Metrics[metric].Loss && l.Low >= 0
	top := int32(-1)
	var values []float64
	for _, field := range fields {
		values = values[:0]
		for _, at := range field {
			values = append(values, of(at))
			if top < 0 || l.better(of(at), of(top)) {
				top = at
			}
		}
		slices.Sort(values)
		best, worst := values[len(values)-1], values[0]
		if l.Descending {
			best, worst = worst, best
		}
		l.Of[Best], l.Of[Worst] = append(l.Of[Best], single(best)), append(l.Of[Worst], single(worst))
		l.Of[Median] = append(l.Of[Median], single(middle(values)))
	}
	l.Top, l.Value = pointOf(spots[top]), of(top)
	return l
}

func (l Layer) better(a, b float64) bool {
	if l.Descending {
		return a < b
	}
	return a > b
}

// single is x as it is kept: seven digits, and never infinite, which JSON has no word for.
func single(x float64) float32 {
	return float32(max(-math.MaxFloat32, min(x, math.MaxFloat32)))
}

func pointOf(s Spot) Point {
	p := Point{FastPeriod: int(s.Fast), SlowPeriod: int(s.Slow), Score: s.Values[0]}
	if s.Signal != noSignal {
		n := int(s.Signal)
		p.SignalPeriod = &n
	}
	return p
}
