package dashboard

import (
	"fmt"
	"net/url"

	"github.com/zixly/sweepline/shared/heatmap"
)

// overlap, in percent, closes the seams that rounding to pixels leaves between cells.
// Cells are drawn upward, each over the one before.
const overlap = 0.1

// heatMap is a map, ready to draw, with the least fast period at the bottom.
type heatMap struct {
	heatmap.Map

	Cells          []cell
	XTicks, YTicks []tick
	// Legend are the least figures of the shades.
	Legend []shade
	// BestCell is the cell of the best row.
	BestCell cell
	// Edges are the lines around the plateau.
	Edges []edge
	// Columns and Lines are the same as a table.
	Columns []string
	Lines   []line
	// Metrics and Stats lead to the other maps.
	Metrics, Stats []choice
}

// cells counts those of a map; there may be none.
func (m *heatMap) cells() int {
	if m == nil {
		return 0
	}
	return len(m.Cells)
}

// cell is one rectangle, in percents.
type cell struct {
	X, Y, W, H string
	Shade      int
	Title      string
	// CX and CY are its middle.
	CX, CY string
	// Href leads to its rows.
	Href string
	// Line and Column are its place in the grid; Fast and Slow are its periods, from and
	// to.
	Line, Column int
	Fast, Slow   [2]int
	// Entry says that the keyboard comes in here.
	Entry bool
}

type shade struct {
	Shade int
	From  string
	X, W  string
}

// edge is a line around the plateau, in percents.
type edge struct{ X1, Y1, X2, Y2 string }

// line is a row of the table: a fast period and its figures.
type line struct {
	Name  string
	Cells []lineCell
}

// lineCell is one figure of the table, with the way to its rows.
type lineCell struct{ Text, Href string }

// choice is one of several maps.
type choice struct {
	Label, Href string
	Now         bool
}

// statNames are what people read.
var statNames = map[heatmap.Stat]string{heatmap.Best: "Best", heatmap.Median: "Median", heatmap.Worst: "Worst"}

// heatMapOf draws a surface as the query asks for, with the ways to its other maps.
func heatMapOf(s *heatmap.Surface, q jobQuery) *heatMap {
	m := drawMap(s.Map(q.Metric, q.Stat), q)
	for i, metric := range heatmap.Metrics {
		to := q
		to.Metric = i
		m.Metrics = append(m.Metrics, choice{metric.Label, to.href("#surface"), i == q.Metric})
	}
	for _, stat := range heatmap.Stats {
		to := q
		to.Stat = stat
		m.Stats = append(m.Stats, choice{statNames[stat], to.href("#surface"), stat == q.Stat})
	}
	return m
}

// drawMap is a map with everything in its place.
func drawMap(of heatmap.Map, q jobQuery) *heatMap {
	m := &heatMap{Map: of}
	m.XTicks, m.YTicks = ticksOf(m.Slow, 6, false), ticksOf(m.Fast, 5, true)
	columns, lines := m.Slow.Bins(), m.Fast.Bins()
	for x := range columns {
		m.Columns = append(m.Columns, m.Slow.Label(x))
	}
	for y := range lines {
		m.Lines = append(m.Lines, line{Name: m.Fast.Label(y), Cells: make([]lineCell, columns)})
	}
	w, h := 100/float64(columns), 100/float64(lines)
	plateau := map[[2]int]bool{}
	for _, f := range m.Fields {
		left, top := w*float64(f.Slow), 100-h*float64(f.Fast+1)
		c := cell{
			X: percent(left), Y: percent(top), W: percent(w + overlap), H: percent(h + overlap), CX: percent(left + w/2), CY: percent(top + h/2),
			Shade: f.Shade, Title: "fast " + m.Lines[f.Fast].Name + ", slow " + m.Columns[f.Slow] + ": " + number(f.Score), Line: f.Fast, Column: f.Slow,
		}
		c.Fast[0], c.Fast[1] = m.Fast.Span(f.Fast)
		c.Slow[0], c.Slow[1] = m.Slow.Span(f.Slow)
		c.Href = q.of(c.Fast, c.Slow)
		if c.Entry = f == m.BestField; c.Entry {
			m.BestCell = c
		}
		m.Cells = append(m.Cells, c)
		m.Lines[f.Fast].Cells[f.Slow] = lineCell{number(f.Score), c.Href}
		plateau[[2]int{f.Fast, f.Slow}] = f.Plateau
	}
	for _, f := range m.Fields {
		if f.Plateau {
			m.Edges = append(m.Edges, edges([2]int{f.Fast, f.Slow}, plateau, w, h)...)
		}
	}
	for i := range heatmap.Shades {
		m.Legend = append(m.Legend, shade{
			Shade: i, From: number(m.Scale.From(i)), X: percent(100 * float64(i) / heatmap.Shades), W: percent(100.0 / heatmap.Shades),
		})
	}
	return m
}

// edges are the sides of a field of the plateau beyond which there is none of it.
func edges(at [2]int, plateau map[[2]int]bool, w, h float64) (out []edge) {
	left, right := percent(w*float64(at[1])), percent(w*float64(at[1]+1))
	top, bottom := percent(100-h*float64(at[0]+1)), percent(100-h*float64(at[0]))
	for _, side := range []struct {
		next [2]int
		edge edge
	}{
		{[2]int{at[0] + 1, at[1]}, edge{left, top, right, top}},
		{[2]int{at[0] - 1, at[1]}, edge{left, bottom, right, bottom}},
		{[2]int{at[0], at[1] - 1}, edge{left, top, left, bottom}},
		{[2]int{at[0], at[1] + 1}, edge{right, top, right, bottom}},
	} {
		if !plateau[side.next] {
			out = append(out, side.edge)
		}
	}
	return out
}

// of leads to the rows of a range of periods.
func (q jobQuery) of(fast, slow [2]int) string {
	q.Where, q.From = []string{fmt.Sprintf("fast>=%d", fast[0]), fmt.Sprintf("fast<=%d", fast[1]), fmt.Sprintf("slow>=%d", slow[0]), fmt.Sprintf("slow<=%d", slow[1])}, 0
	return q.href("#results")
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

// href leads to the page as the query asks for it.
func (q jobQuery) href(part string) string {
	to := url.Values{}
	set := func(name, text string, unless bool) {
		if !unless {
			to.Set(name, text)
		}
	}
	set("metric", heatmap.Metrics[q.Metric].Name, q.Metric == 0)
	set("stat", string(q.Stat), q.Stat == heatmap.Best)
	set("sort", q.Sort, q.Sort == "" || q.Sort == "score" && q.Dir == "")
	set("dir", q.Dir, q.Dir == "")
	set("where", q.conditions(), len(q.Where) == 0)
	set("from", fmt.Sprint(q.From), q.From == 0)
	if len(to) == 0 {
		return q.Path + part
	}
	return q.Path + "?" + to.Encode() + part
}
