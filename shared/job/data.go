package job

import (
	"fmt"
	"strings"
)

// String names the prices for people: source, days, number. nil, of which the trading
// API has not told, is "unknown", and so is each part that it left out.
func (d *Data) String() string {
	if d == nil {
		return "unknown"
	}
	or := func(text string) string {
		if text == "" {
			return "unknown"
		}
		return text
	}
	parts := []string{"source " + or(d.Source)}
	if d.Source != "" {
		parts[0] = d.Source
	}
	if d.FirstDay != "" || d.LastDay != "" {
		parts = append(parts, or(d.FirstDay)+" to "+or(d.LastDay))
	} else {
		parts = append(parts, "days unknown")
	}
	if d.Bars > 0 {
		parts = append(parts, fmt.Sprintf("%d bars", d.Bars))
	} else {
		parts = append(parts, "number of bars unknown")
	}
	return strings.Join(parts, ", ")
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
