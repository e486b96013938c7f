package dashboard

import (
	"fmt"
	"time"
)

// chart is a small drawing of columns, one for each of some intervals of one length.
type chart struct {
	// Title names what is drawn, Summary tells it in a few words.
	Title, Summary string
	Columns        []chartColumn
	Ticks          []tick
}

// chartColumn is one interval. X and Width are percents of the drawing.
type chartColumn struct {
	X, Width string
	// Title tells the column's figures.
	Title string
	Parts []chartPart
}

// chartPart is a piece of a column, in percents of the drawing's height from its top.
type chartPart struct{ Kind, Y, Height string }

// interval is what a column shows, before its scale is known.
type interval struct {
	begin   time.Time
	amounts []amount
	// summary are the column's figures in words.
	summary string
}

// amount is a piece of a column.
type amount struct {
	kind     string
	from, to float64
}

// newChart draws columns of amounts on a scale from 0 to the highest of them.
func newChart(title, summary string, every time.Duration, columns []interval) chart {
	c := chart{Title: title, Summary: summary}
	highest := 0.0
	for _, col := range columns {
		for _, a := range col.amounts {
			highest = max(highest, a.to)
		}
	}
	width := 100 / float64(max(1, len(columns)))
	for i, col := range columns {
		drawn := chartColumn{X: percent(float64(i)*width + width*.1), Width: percent(width * .8), Title: intervalLabel(col.begin, every) + ": " + col.summary}
		for _, a := range col.amounts {
			if a.to <= a.from {
				continue
			}
			top, height := 100*(1-a.to/highest), max(100*(a.to-a.from)/highest, 1.5)
			drawn.Parts = append(drawn.Parts, chartPart{Kind: a.kind, Y: percent(min(top, 98.5)), Height: percent(height)})
		}
		c.Columns = append(c.Columns, drawn)
	}
	c.Ticks = intervalTicks(columns, every)
	return c
}

// intervalTicks mark the first, the middle and the last interval.
func intervalTicks(columns []interval, every time.Duration) []tick {
	if len(columns) == 0 {
		return nil
	}
	label := func(at time.Time) string {
		if every >= 24*time.Hour {
			return at.UTC().Format("2 Jan")
		}
		return at.UTC().Format("15:04")
	}
	return []tick{
		{At: "0", Label: label(columns[0].begin), Anchor: "start"}, {At: "50%", Label: label(columns[len(columns)/2].begin), Anchor: "middle"},
		{At: "100%", Label: "now", Anchor: "end"},
	}
}

// intervalLabel names an interval.
func intervalLabel(begin time.Time, every time.Duration) string {
	if every >= 24*time.Hour {
		return begin.UTC().Format("2 January")
	}
	return fmt.Sprintf("%s to %s UTC", begin.UTC().Format("15:04"), begin.Add(every).UTC().Format("15:04"))
}
