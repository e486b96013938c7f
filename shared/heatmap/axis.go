package heatmap

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Axis maps periods to bins: the values that occur, in order, so many to a bin.
type Axis struct {
	values []int
	per    int
}

// axis has most bins at most; values are in order.
func axis(values []int, most int) Axis {
	return Axis{values: values, per: max(1, (len(values)+most-1)/most)}
}

func axisOf(spots []Spot, most int, of func(Spot) int) Axis {
	occur := map[int]bool{}
	for _, s := range spots {
		occur[of(s)] = true
	}
	return axis(slices.Sorted(maps.Keys(occur)), most)
}

// Bins is how many there are.
func (a Axis) Bins() int { return (len(a.values) + a.per - 1) / a.per }

// Bin is where a period that occurs lies.
func (a Axis) Bin(period int) int {
	at, _ := slices.BinarySearch(a.values, period)
	return min(at, len(a.values)-1) / a.per
}

// Span is the first and the last period of a bin.
func (a Axis) Span(bin int) (first, last int) {
	return a.values[bin*a.per], a.values[min((bin+1)*a.per, len(a.values))-1]
}

// Label names the periods of a bin.
func (a Axis) Label(bin int) string {
	first, last := a.Span(bin)
	if first == last {
		return strconv.Itoa(first)
	}
	return fmt.Sprintf("%d–%d", first, last)
}

// Tick is a name on an axis.
type Tick struct {
	// At is the middle of its bin, 0 to 1 along the axis.
	At    float64
	Label string
}

// Ticks name up to n bins at even distances, the first and the last among them.
func (a Axis) Ticks(n int) []Tick {
	bins := a.Bins()
	n = min(n, bins)
	var out []Tick
	for i := range n {
		bin := 0
		if n > 1 {
			bin = i * (bins - 1) / (n - 1)
		}
		label := a.values[bin*a.per]
		if i == n-1 && n > 1 {
			label = a.values[len(a.values)-1]
		}
		out = append(out, Tick{At: (float64(bin) + 0.5) / float64(bins), Label: strconv.Itoa(label)})
	}
	return out
}
