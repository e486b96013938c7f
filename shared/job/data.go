package job

import (
	"cmp"
	"fmt"
)

// String names the prices for people: source, days, number. nil, of which the trading
// API has not told, is "unknown", and so is each part that it left out.
func (d *Data) String() string {
	switch {
	case d == nil:
		return "unknown"
	case d.Source == "":
		return "source unknown, " + d.Span()
	}
	return d.Source + ", " + d.Span()
}

// Span is the days and the number of the prices for people.
func (d *Data) Span() string {
	days, bars := "days unknown", "number of bars unknown"
	if d.FirstDay != "" || d.LastDay != "" {
		days = cmp.Or(d.FirstDay, "unknown") + " to " + cmp.Or(d.LastDay, "unknown")
	}
	if d.Bars > 0 {
		bars = fmt.Sprintf("%d bars", d.Bars)
	}
	return days + ", " + bars
}

// MadeUp reports whether a job's results were computed on made-up prices, so that its
// figures say nothing of what its ticker names.
func (j Job) MadeUp() bool { return j.Metrics != nil && j.Metrics.Synthetic }

// Prices names the prices of a job's results for people. It is empty while there are no
// results.
func (j Job) Prices() string {
	switch m := j.Metrics; {
	case m == nil:
		return ""
	case m.Synthetic && m.Data != nil && m.Data.Bars > 0:
		return fmt.Sprintf("made up (%d bars)", m.Data.Bars)
	case m.Synthetic:
		return "made up"
	default:
		return m.Data.String()
	}
}
