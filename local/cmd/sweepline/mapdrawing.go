package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	api "github.com/zixly/sweepline/shared/client"
	"github.com/zixly/sweepline/shared/heatmap"
)

// allRows asks for every row of a job.
var allRows = api.ResultFilter{}

const (
	// mapColumns is how wide a map is, with its axis, where nothing says how wide the
	// terminal is.
	mapColumns = 80
	// mapLines is how high the fields of a map are at most, in lines.
	mapLines = 32
	// widestField is how many characters a field is wide at most, lest few fields be slabs.
	widestField = 6
)

// shadeCharacters stand for the shades where there are no colours, worst first.
const shadeCharacters = ".:-=+*#%@"

// code is the part of an escape sequence that names a shade's colour.
func (p palette) code(shade int) string {
	c := heatmap.Colours[shade]
	if p == trueColours {
		return fmt.Sprintf("2;%d;%d;%d", c[0], c[1], c[2])
	}
	// The cube of 6×6×6 colours has the levels 0, 95, 135, 175, 215, 255.
	at := 16
	for i, part := range c {
		level := 0
		if part >= 48 {
			level = 1
		}
		if part >= 115 {
			level = (int(part) - 35) / 40
		}
		at += level * [3]int{36, 6, 1}[i]
	}
	return "5;" + strconv.Itoa(at)
}

// fieldGrid is a map by lines of fields, the greatest fast period first; nil where no row
// lies.
type fieldGrid [][]*heatmap.Field

func gridOf(m heatmap.Map) fieldGrid {
	g := make(fieldGrid, m.Fast.Bins())
	for y := range g {
		g[y] = make([]*heatmap.Field, m.Slow.Bins())
	}
	for i, f := range m.Fields {
		g[len(g)-1-f.Fast][f.Slow] = &m.Fields[i]
	}
	return g
}

// drawMap draws a map with its axes and a legend, as wide as the terminal at most.
func drawMap(w io.Writer, m heatmap.Map, p palette) {
	room, known := terminalWidth(w)
	if !known || room > mapColumns {
		room = mapColumns
	}
	grid := gridOf(m)
	margin := len("fast") + 1 // the axis of fast periods
	for y := range grid {
		margin = max(margin, utf8.RuneCountInString(m.Fast.Label(y))+1)
	}
	columns := m.Slow.Bins()
	wide := max(1, min(widestField, (room-margin-1)/columns))
	what := m.Metric.Label
	if m.Shared > 1 {
		what += ", the " + string(m.Stat) + " of each field"
	}
	fmt.Fprintf(w, "%s; fast upward, slow to the right\n\n", what)
	var lines []string
	if p == noColours {
		lines = drawCharacters(grid, m.BestField, wide, margin, m.Fast)
	} else {
		lines = drawBlocks(grid, m.BestField, wide, margin, m.Fast, p)
	}
	for _, line := range lines {
		fmt.Fprintln(w, line)
	}
	drawSlowAxis(w, m.Slow, margin, wide)
	fmt.Fprintln(w)
	drawLegend(w, m, p)
}

// yLabel is the label of a line, right before the fields.
func yLabel(text string, margin int) string {
	return strings.Repeat(" ", max(0, margin-1-utf8.RuneCountInString(text))) + text + " "
}

// every is how many lines stand between two labels of an axis of so many lines.
func every(lines int) int { return max(1, (lines+7)/8) }

func drawCharacters(g fieldGrid, best heatmap.Field, wide, margin int, fast heatmap.Axis) (lines []string) {
	step := every(len(g))
	for y, fields := range g {
		bin := len(g) - 1 - y
		label := ""
		if bin%step == 0 {
			label = fast.Label(bin)
		}
		var b strings.Builder
		b.WriteString(yLabel(label, margin))
		for _, f := range fields {
			switch {
			case f == nil:
				b.WriteString(strings.Repeat(" ", wide))
			case *f == best:
				b.WriteString("X" + strings.Repeat(string(shadeCharacters[f.Shade]), wide-1))
			default:
				b.WriteString(strings.Repeat(string(shadeCharacters[f.Shade]), wide))
			}
		}
		lines = append(lines, strings.TrimRight(b.String(), " "))
	}
	return lines
}

// drawBlocks draws half blocks: two fields stand over each other in a line where they are
// flat, and a field takes whole lines where it is wide enough, so that they are nearly
// square.
func drawBlocks(g fieldGrid, best heatmap.Field, wide, margin int, fast heatmap.Axis, p palette) (lines []string) {
	high := max(1, min(wide, 2*mapLines/max(1, len(g)))) // of a field, in halves of a line
	halves := len(g) * high
	fieldAt := func(half, x int) *heatmap.Field {
		if half >= halves {
			return nil
		}
		return g[half/high][x]
	}
	step := every(len(g))
	labelled := -1
	for top := 0; top < halves; top += 2 {
		bin := len(g) - 1 - top/high
		label := ""
		if lower := len(g) - 1 - min(top+1, halves-1)/high; lower%step == 0 && lower != labelled {
			bin = lower
		}
		if bin%step == 0 && bin != labelled {
			label, labelled = fast.Label(bin), bin
		}
		var b strings.Builder
		b.WriteString(yLabel(label, margin))
		for x := range g[0] {
			b.WriteString(p.cell(fieldAt(top, x), fieldAt(top+1, x), best, wide, marks(g, best, x, top, high)))
		}
		lines = append(lines, strings.TrimRight(b.String(), " "))
	}
	return lines
}

// marks reports whether the line that begins with the half top is the first that shows the
// best field, which is in column x.
func marks(g fieldGrid, best heatmap.Field, x, top, high int) bool {
	first := (len(g) - 1 - best.Fast) * high
	return best.Slow == x && top == first-first%2
}

// cell is a part of a line: the field of its upper half and that of its lower one. mark
// has an X put on the best.
func (p palette) cell(upper, lower *heatmap.Field, best heatmap.Field, wide int, mark bool) string {
	const reset = "\x1b[0m"
	blocks := func(n int) string {
		switch {
		case n == 0 || upper == nil && lower == nil:
			return strings.Repeat(" ", n)
		case lower == nil:
			return "\x1b[38;" + p.code(upper.Shade) + "m" + strings.Repeat("▀", n) + reset
		case upper == nil:
			return "\x1b[38;" + p.code(lower.Shade) + "m" + strings.Repeat("▄", n) + reset
		case upper.Shade == lower.Shade:
			return "\x1b[48;" + p.code(upper.Shade) + "m" + strings.Repeat(" ", n) + reset
		}
		return "\x1b[38;" + p.code(upper.Shade) + ";48;" + p.code(lower.Shade) + "m" + strings.Repeat("▀", n) + reset
	}
	if !mark {
		return blocks(wide)
	}
	// The best shade is light, so that black is seen on it; others get white.
	ink := "97"
	if best.Shade > heatmap.Shades/2 {
		ink = "30"
	}
	at := (wide - 1) / 2
	return blocks(at) + "\x1b[1;" + ink + ";48;" + p.code(best.Shade) + "mX" + reset + blocks(wide-1-at)
}

// drawSlowAxis names slow periods below their fields, at even distances, as many as there
// is room for.
func drawSlowAxis(w io.Writer, slow heatmap.Axis, margin, wide int) {
	bins := slow.Bins()
	longest := 0
	for bin := range bins {
		first, _ := slow.Span(bin)
		longest = max(longest, len(strconv.Itoa(first)))
	}
	step := (longest + 2 + wide - 1) / wide
	line := []byte(strings.Repeat(" ", bins*wide+longest))
	for bin := 0; bin < bins; bin += step {
		first, _ := slow.Span(bin)
		label := strconv.Itoa(first)
		copy(line[max(0, bin*wide+(wide-len(label))/2):], label)
	}
	fmt.Fprintln(w, strings.TrimRight(yLabel("slow", margin)+string(line), " "))
}

// drawLegend tells figures from shades, and says what is best.
func drawLegend(w io.Writer, m heatmap.Map, p palette) {
	var b strings.Builder
	b.WriteString(figure(m.Scale.From(0)) + " ")
	for shade := range heatmap.Shades {
		if p == noColours {
			b.WriteString(strings.Repeat(string(shadeCharacters[shade]), 2))
		} else {
			b.WriteString("\x1b[48;" + p.code(shade) + "m  \x1b[0m")
		}
	}
	b.WriteString(" " + figure(m.Scale.Top()))
	fmt.Fprintln(w, b.String())
	fmt.Fprintf(w, "X  %s %s at %s\n", strings.ToLower(m.Metric.Label), figure(m.Value), pointText(m.Best))
	if r := m.Robust; r != nil {
		fmt.Fprintf(w, "Most robust: %s, score %s, worst near %s\n", pointText(r.Point), figure(r.Score), figure(r.Worst))
	}
	if m.Shared > 1 {
		fmt.Fprintf(w, "%d rows, up to %d in a field\n", m.Rows, m.Shared)
	}
}

func pointText(p heatmap.Point) string {
	text := fmt.Sprintf("fast %d, slow %d", p.FastPeriod, p.SlowPeriod)
	if p.SignalPeriod != nil {
		text += fmt.Sprintf(", signal %d", *p.SignalPeriod)
	}
	return text
}
