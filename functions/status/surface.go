package status

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"sync"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/ledger"
)

const (
	// mostColumns and mostRows bound a heat map; beyond, neighbouring periods
	// share a cell.
	mostColumns, mostRows = 48, 32
	// shades is the number of its colours.
	shades = 9
	// overlap, in percent, closes the seams that rounding to pixels leaves
	// between cells. Cells are drawn upward, each over the one before.
	overlap = 0.1
	// keptSurfaces bounds the heat maps that a process remembers.
	keptSurfaces = 64
)

// surface is the score over fast and slow periods of all rows of a sweep: a
// heat map, ready to draw. Columns are slow periods, rows fast ones with the
// least at the bottom.
type surface struct {
	Cells          []cell
	XTicks, YTicks []tick
	// Legend are the least scores of the shades.
	Legend []shade
	// Best is where the best row lies, BestCell its cell.
	Best     job.Row
	BestCell cell
	// Rows counts the rows that were drawn, Shared the rows of the fullest cell.
	Rows, Shared int
	// Low, Middle and High are scores: the least, the median, the greatest.
	Low, Middle, High float64
	// Columns and Lines are the same as a table.
	Columns []string
	Lines   []line
	// Signals says that rows differ in a third period.
	Signals bool
}

// cell is one rectangle, in percents.
type cell struct {
	X, Y, W, H string
	Shade      int
	Title      string
	// CX and CY are its middle.
	CX, CY string
}

type shade struct {
	Shade int
	From  string
	X, W  string
}

// line is a row of the table: a fast period and its scores.
type line struct {
	Name   string
	Scores []string
}

// surfaceOf draws rows; false where there are too few to make an area.
func surfaceOf(rows []job.Row) (surface, bool) {
	if len(rows) < 2 {
		return surface{}, false
	}
	fast := axisOf(rows, mostRows, func(r job.Row) int { return r.FastPeriod })
	slow := axisOf(rows, mostColumns, func(r job.Row) int { return r.SlowPeriod })
	s := surface{Rows: len(rows), Best: rows[0]}
	best := make([]float64, fast.bins*slow.bins)
	count := make([]int, len(best))
	scores := make([]float64, len(rows))
	for i, r := range rows {
		at := fast.bin(r.FastPeriod)*slow.bins + slow.bin(r.SlowPeriod)
		if count[at] == 0 || r.Score > best[at] {
			best[at] = r.Score
		}
		count[at]++
		scores[i] = r.Score
		if r.Score > s.Best.Score {
			s.Best = r
		}
		s.Signals = s.Signals || r.SignalPeriod != nil
		s.Shared = max(s.Shared, count[at])
	}
	slices.Sort(scores)
	s.Low, s.Middle, s.High = scores[0], scores[len(scores)/2], scores[len(scores)-1]
	scale := scaleOf(best, count)
	w, h := 100/float64(slow.bins), 100/float64(fast.bins)
	for y := range fast.bins {
		l := line{Name: fast.label(y), Scores: make([]string, slow.bins)}
		for x := range slow.bins {
			at := y*slow.bins + x
			if count[at] == 0 {
				continue
			}
			l.Scores[x] = number(best[at])
			left, top := w*float64(x), 100-h*float64(y+1)
			s.Cells = append(s.Cells, cell{
				X: percent(left), Y: percent(top), W: percent(w + overlap), H: percent(h + overlap), CX: percent(left + w/2), CY: percent(top + h/2),
				Shade: scale.shade(best[at]), Title: "fast " + fast.label(y) + ", slow " + slow.label(x) + ": " + number(best[at]),
			})
			if y == fast.bin(s.Best.FastPeriod) && x == slow.bin(s.Best.SlowPeriod) {
				s.BestCell = s.Cells[len(s.Cells)-1]
			}
		}
		s.Lines = append(s.Lines, l)
	}
	for x := range slow.bins {
		s.Columns = append(s.Columns, slow.label(x))
	}
	s.XTicks, s.YTicks = slow.ticks(6, false), fast.ticks(5, true)
	s.Legend = scale.legend()
	return s, true
}

// axis maps periods to bins: the values that occur, in order, so many to a bin.
type axis struct {
	values  []int
	per     int
	bins    int
	indexes map[int]int
}

func axisOf(rows []job.Row, most int, of func(job.Row) int) axis {
	a := axis{indexes: map[int]int{}}
	for _, r := range rows {
		a.indexes[of(r)] = 0
	}
	for v := range a.indexes {
		a.values = append(a.values, v)
	}
	slices.Sort(a.values)
	a.per = (len(a.values) + most - 1) / most
	a.bins = (len(a.values) + a.per - 1) / a.per
	for i, v := range a.values {
		a.indexes[v] = i / a.per
	}
	return a
}

func (a axis) bin(v int) int { return a.indexes[v] }

// label names the periods of a bin.
func (a axis) label(bin int) string {
	first, last := a.values[bin*a.per], a.values[min((bin+1)*a.per, len(a.values))-1]
	if first == last {
		return strconv.Itoa(first)
	}
	return fmt.Sprintf("%d–%d", first, last)
}

// ticks name up to n bins at even distances, the first and the last among them.
func (a axis) ticks(n int, up bool) []tick {
	n = min(n, a.bins)
	var out []tick
	for i := range n {
		bin := 0
		if n > 1 {
			bin = i * (a.bins - 1) / (n - 1)
		}
		at := 100 * (float64(bin) + 0.5) / float64(a.bins)
		if up {
			at = 100 - at
		}
		label := a.values[bin*a.per]
		if i == n-1 && n > 1 {
			label = a.values[len(a.values)-1]
		}
		out = append(out, tick{At: percent(at), Label: strconv.Itoa(label)})
	}
	return out
}

// scale maps scores to shades, evenly between low and high.
type scale struct{ low, high float64 }

// scaleOf leaves the worst twentieth out of the scale, so that a few ruinous
// parameter sets do not make all others look alike.
func scaleOf(best []float64, count []int) scale {
	var some []float64
	for i, n := range count {
		if n > 0 {
			some = append(some, best[i])
		}
	}
	sort.Float64s(some)
	return scale{some[len(some)/20], some[len(some)-1]}
}

func (s scale) shade(score float64) int {
	if s.high <= s.low {
		return shades - 1
	}
	return max(0, min(shades-1, int(math.Floor(shades*(score-s.low)/(s.high-s.low)))))
}

func (s scale) legend() []shade {
	out := make([]shade, shades)
	for i := range out {
		out[i] = shade{
			Shade: i, From: number(s.low + float64(i)*(s.high-s.low)/shades),
			X: percent(100 * float64(i) / shades), W: percent(100.0 / shades),
		}
	}
	return out
}

// surfaces remembers heat maps of ended jobs, whose rows never change.
type surfaces struct {
	mu    sync.Mutex
	kept  map[string]*surface
	order []string
}

// surface reads all rows of a job and draws them; nil where that is not
// possible.
func (f *Function) surface(ctx context.Context, owner, id string) (*surface, error) {
	key := owner + "/" + id
	f.surfaces.mu.Lock()
	s, ok := f.surfaces.kept[key]
	f.surfaces.mu.Unlock()
	if ok {
		return s, nil
	}
	var rows []job.Row
	for r, err := range f.Jobs.Results(ctx, owner, id, ledger.ByScore) {
		if err != nil {
			return nil, fmt.Errorf("read results: %w", err)
		}
		rows = append(rows, r)
	}
	drawn, ok := surfaceOf(rows)
	if !ok {
		return nil, nil //nolint:nilnil // nothing to draw is no mistake
	}
	f.surfaces.keep(key, &drawn)
	return &drawn, nil
}

func (s *surfaces) keep(key string, drawn *surface) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil {
		s.kept = map[string]*surface{}
	}
	if _, known := s.kept[key]; known {
		return
	}
	if len(s.order) == keptSurfaces {
		delete(s.kept, s.order[0])
		s.order = s.order[1:]
	}
	s.kept[key], s.order = drawn, append(s.order, key)
}
