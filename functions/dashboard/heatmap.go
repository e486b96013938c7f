package dashboard

import (
	"context"
	"fmt"
	"sync"

	"github.com/zixly/sweepline/shared/heatmap"
	"github.com/zixly/sweepline/shared/jobstore"
)

const (
	// overlap, in percent, closes the seams that rounding to pixels leaves
	// between cells. Cells are drawn upward, each over the one before.
	overlap = 0.1
	// keptHeatMaps bounds the heat maps that a process remembers.
	keptHeatMaps = 64
)

// heatMap is a map, ready to draw, with the least fast period at the bottom.
type heatMap struct {
	heatmap.Map

	Cells          []cell
	XTicks, YTicks []tick
	// Legend are the least scores of the shades.
	Legend []shade
	// BestCell is the cell of the best row.
	BestCell cell
	// Columns and Lines are the same as a table.
	Columns []string
	Lines   []line
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

// heatMapOf draws points; false where there are too few to make an area.
func heatMapOf(points []heatmap.Point) (heatMap, bool) {
	s, ok := heatmap.Of(points)
	if !ok {
		return heatMap{}, false
	}
	m := heatMap{Map: s, XTicks: ticksOf(s.Slow, 6, false), YTicks: ticksOf(s.Fast, 5, true)}
	columns, lines := s.Slow.Bins(), s.Fast.Bins()
	for x := range columns {
		m.Columns = append(m.Columns, s.Slow.Label(x))
	}
	for y := range lines {
		m.Lines = append(m.Lines, line{Name: s.Fast.Label(y), Scores: make([]string, columns)})
	}
	w, h := 100/float64(columns), 100/float64(lines)
	for _, f := range s.Fields {
		left, top := w*float64(f.Slow), 100-h*float64(f.Fast+1)
		c := cell{
			X: percent(left), Y: percent(top), W: percent(w + overlap), H: percent(h + overlap), CX: percent(left + w/2), CY: percent(top + h/2),
			Shade: f.Shade, Title: "fast " + m.Lines[f.Fast].Name + ", slow " + m.Columns[f.Slow] + ": " + number(f.Score),
		}
		m.Cells = append(m.Cells, c)
		m.Lines[f.Fast].Scores[f.Slow] = number(f.Score)
		if f == s.BestField {
			m.BestCell = c
		}
	}
	for i := range heatmap.Shades {
		m.Legend = append(m.Legend, shade{
			Shade: i, From: number(s.Scale.From(i)), X: percent(100 * float64(i) / heatmap.Shades), W: percent(100.0 / heatmap.Shades),
		})
	}
	return m, true
}

func ticksOf(a heatmap.Axis, n int, up bool) []tick {
	var out []tick
	for _, t := range a.Ticks(n) {
		at := 100 * t.At
		if up {
			at = 100 - at
		}
		out = append(out, tick{At: percent(at), Label: t.Label})
	}
	return out
}

// heatMaps remembers heat maps of ended jobs, whose rows never change.
type heatMaps struct {
	mu    sync.Mutex
	kept  map[string]*heatMap
	order []string
	// drawing are those being drawn, each once for all who look.
	drawing map[string]*drawing
}

// drawing is a heat map that is being drawn.
type drawing struct {
	// done is closed when drawn and err are set.
	done  chan struct{}
	drawn *heatMap
	err   error
	// askers are those who wait for it. When the last one goes, cancel ends it.
	askers int
	cancel context.CancelFunc
}

// heatMap reads all rows of a job and draws them; nil where that is not possible. It
// does so once for all who ask meanwhile, and for no longer than one of them waits.
func (f *Function) heatMap(ctx context.Context, owner, id string) (*heatMap, error) {
	key, s := owner+"/"+id, &f.heatMaps
	s.mu.Lock()
	if drawn, ok := s.kept[key]; ok {
		s.mu.Unlock()
		return drawn, nil
	}
	d := s.drawing[key]
	if d == nil {
		work, cancel := context.WithCancel(context.WithoutCancel(ctx))
		d = &drawing{done: make(chan struct{}), cancel: cancel}
		if s.drawing == nil {
			s.drawing = map[string]*drawing{}
		}
		s.drawing[key] = d
		go func() {
			drawn, err := f.draw(work, owner, id)
			cancel()
			s.finish(key, d, drawn, err)
		}()
	}
	d.askers++
	s.mu.Unlock()
	select {
	case <-d.done:
		return d.drawn, d.err
	case <-ctx.Done():
		s.leave(key, d)
		return nil, context.Cause(ctx)
	}
}

// leave is called by an asker who does not wait any longer.
func (s *heatMaps) leave(key string, d *drawing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.askers--; d.askers == 0 {
		d.cancel()
		if s.drawing[key] == d {
			delete(s.drawing, key) // who comes now begins anew
		}
	}
}

func (s *heatMaps) finish(key string, d *drawing, drawn *heatMap, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drawing[key] == d {
		delete(s.drawing, key)
	}
	if d.drawn, d.err = drawn, err; drawn != nil {
		s.keep(key, drawn)
	}
	close(d.done)
}

// draw reads and draws within the owner's share of large reads.
func (f *Function) draw(ctx context.Context, owner, id string) (_ *heatMap, err error) {
	defer func() {
		if p := recover(); p != nil { // as net/http does for a handler
			err = fmt.Errorf("drawing panicked: %v", p)
		}
	}()
	release, err := f.jobs.TakeRead(ctx, owner)
	if err != nil {
		return nil, fmt.Errorf("read results: %w", err)
	}
	defer release()
	var points []heatmap.Point
	for r, err := range f.jobs.Store.Results(ctx, owner, id, jobstore.ByScore) {
		if err != nil {
			return nil, fmt.Errorf("read results: %w", err)
		}
		points = append(points, heatmap.PointOf(r))
	}
	drawn, ok := heatMapOf(points)
	if !ok {
		return nil, nil //nolint:nilnil // nothing to draw is no mistake
	}
	return &drawn, nil
}

// keep is called with the lock.
func (s *heatMaps) keep(key string, drawn *heatMap) {
	if s.kept == nil {
		s.kept = map[string]*heatMap{}
	}
	if _, known := s.kept[key]; known {
		return
	}
	if len(s.order) == keptHeatMaps {
		delete(s.kept, s.order[0])
		s.order = s.order[1:]
	}
	s.kept[key], s.order = drawn, append(s.order, key)
}
