package heatmap

import (
	"cmp"
	"slices"

	"github.com/zixly/sweepline/shared/job"
)

const (
	// Reach is how far the neighbourhood of a row goes: so many steps of the sweep up
	// and down in both periods, 24 other rows at most.
	Reach = 2
	// enough is how many neighbours make a neighbourhood that says something of how
	// robust a row is: half of them. A row at the edge has 14, one in the corner 8.
	enough = 12
)

// Spot is what is computed with of a row: there may be very many.
type Spot struct {
	Fast, Slow, Signal int32 // Signal is noSignal where there is none
	// Values are the row's figures, one for each of Metrics.
	Values [NumMetrics]float64
	// Worst and Median are the worst and the median score of the row's neighbourhood, of
	// which it is one; Neighbours counts the others. They are set by Judge.
	Worst, Median float64
	Neighbours    int32
}

// noSignal stands for no signal period.
const noSignal = -1

// SpotOf takes it from a row.
func SpotOf(r job.Row) Spot {
	s := Spot{Fast: int32(r.FastPeriod), Slow: int32(r.SlowPeriod), Signal: noSignal, Values: valuesOf(r)}
	if r.SignalPeriod != nil {
		s.Signal = int32(*r.SignalPeriod)
	}
	return s
}

// SignalPeriod is the spot's signal period, nil where there is none.
func (s *Spot) SignalPeriod() *int32 {
	if s.Signal == noSignal {
		return nil
	}
	return &s.Signal
}

// byPlace is the order in which the neighbours of a spot are found: all of a signal
// period together, and of those all of a fast period, by slow periods.
func byPlace(a, b Spot) int {
	return cmp.Or(cmp.Compare(a.Signal, b.Signal), cmp.Compare(a.Fast, b.Fast), cmp.Compare(a.Slow, b.Slow))
}

// Judge sets what the neighbourhood of each spot is, in a sweep of that step. It sorts
// spots by place. The time it takes grows with their number only.
func Judge(spots []Spot, step int) {
	slices.SortFunc(spots, byPlace)
	step = max(step, 1)
	// next are, for each line of fast periods around the spot, where its slow periods
	// begin; they only go forward with the spot.
	var next [2*Reach + 1]int
	var scores [(2*Reach + 1) * (2*Reach + 1)]float64
	for i := range spots {
		s := &spots[i]
		around := scores[:0]
		for line := range next {
			fast := s.Fast + int32((line-Reach)*step)
			first := Spot{Signal: s.Signal, Fast: fast, Slow: s.Slow - int32(Reach*step)}
			at := next[line]
			for at < len(spots) && byPlace(spots[at], first) < 0 {
				at++
			}
			next[line] = at
			for ; at < len(spots) && spots[at].Signal == s.Signal && spots[at].Fast == fast && spots[at].Slow <= s.Slow+int32(Reach*step); at++ {
				if int(spots[at].Slow-s.Slow)%step == 0 && len(around) < cap(scores[:]) {
					around = append(around, spots[at].Values[0])
				}
			}
		}
		s.Neighbours = int32(len(around) - 1)
		slices.Sort(around)
		s.Worst, s.Median = around[0], middle(around)
	}
}

// JudgeRows is Judge for the rows of a whole sweep. Rows without a neighbour stay without
// figures of a neighbourhood.
func JudgeRows(rows []job.Row, step int) {
	if len(rows) < 2 {
		return
	}
	spots := make([]Spot, len(rows))
	for i, r := range rows {
		spots[i] = SpotOf(r)
	}
	Judge(spots, step)
	Judged(rows, spots)
}

// Judged is rows with what Judge has found of their spots.
func Judged(rows []job.Row, spots []Spot) []job.Row {
	for i, r := range rows {
		at, found := slices.BinarySearchFunc(spots, SpotOf(r), byPlace)
		if found && spots[at].Neighbours > 0 {
			worst, median := spots[at].Worst, spots[at].Median // the spots need not be kept
			rows[i].NeighbourWorst, rows[i].NeighbourMedian = &worst, &median
		}
	}
	return rows
}

// middle is the median of sorted figures, at least one.
func middle(sorted []float64) float64 {
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return sorted[n/2-1]/2 + sorted[n/2]/2
}

// robust is the spot whose neighbourhood is the best at its worst: of those with a
// neighbourhood that is no smaller than half, or than the largest there is. nil where
// spots have no neighbours.
func robust(spots []Spot) *Spot {
	least := int32(0)
	for _, s := range spots {
		least = max(least, s.Neighbours)
	}
	if least = min(least, enough); least == 0 {
		return nil
	}
	var best *Spot
	for i := range spots {
		s := &spots[i]
		if s.Neighbours < least {
			continue
		}
		if best == nil || cmp.Or(cmp.Compare(s.Worst, best.Worst), cmp.Compare(s.Values[0], best.Values[0])) > 0 {
			best = s
		}
	}
	return best
}
