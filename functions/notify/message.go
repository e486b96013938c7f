package notify

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/zixly/sweepline/shared/job"
)

// longestError bounds how much of an error message is sent to people.
const longestError = 500

// bestShown is how many rows a message shows.
const bestShown = 5

// message is what the templates see. README.md lists it for those who write
// their own.
type message struct {
	Job job.Job
	// Link leads to the job on the dashboard.
	Link string
	// Completed is false for a failed job.
	Completed bool
	// Error is the job's error message in one line, bounded.
	Error string
	// Best are the first rows.
	Best []job.Row
	// Picture is the heat map of a completed sweep, in channels that can show
	// one; nil where it cannot be had.
	Picture *Picture
}

func newMessage(j job.Job, base string) message {
	return message{
		Job: j, Link: strings.TrimRight(base, "/") + "/jobs/" + j.JobID, Completed: j.Status == job.Completed,
		Error: oneLine(j.ErrorMessage), Best: j.Results[:min(len(j.Results), bestShown)],
	}
}

// oneLine takes control characters, and with them every way to break out of a
// line, from a text that came from outside.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > longestError {
		return string(runes[:longestError]) + "…"
	}
	return s
}

// Subject is the message in one line.
func (m message) Subject() string {
	p := m.Job.Parameters
	switch {
	case m.Job.MadeUp():
		return fmt.Sprintf("%s sweep of %s completed on made-up prices", p.StrategyType, p.Ticker)
	case m.Completed:
		return fmt.Sprintf("%s sweep of %s completed", p.StrategyType, p.Ticker)
	}
	return fmt.Sprintf("%s sweep of %s failed: %s", p.StrategyType, p.Ticker, m.Reason())
}

// Prices says what a completed sweep was computed on.
func (m message) Prices() string {
	p := oneLine(m.Job.Prices())
	switch {
	case m.Job.MadeUp():
		return "Prices: " + p + ". They are not those of " + m.Job.Parameters.Ticker + ", and its figures say nothing about it."
	case p != "":
		return "Prices: " + p
	}
	return ""
}

// Reason says in words why the job failed.
func (m message) Reason() string {
	if r, ok := reasons[m.Job.ErrorCode]; ok {
		return r
	}
	return "for an unknown reason"
}

// reasons are in people's words.
var reasons = map[job.ErrorCode]string{
	job.Rejected:      "the trading API refused it",
	job.SweepFailed:   "the sweep failed",
	job.TimedOut:      "no result arrived in time",
	job.Undeliverable: "an event could not be delivered",
	job.Cancelled:     "it was cancelled",
}

// figure prints a number for people: two decimals.
func figure(x float64) string { return strconv.FormatFloat(x, 'f', 2, 64) }

// span prints a number of seconds for people.
func span(seconds *float64) string {
	if seconds == nil {
		return "unknown"
	}
	return time.Duration(*seconds * float64(time.Second)).Round(time.Second).String()
}

// table lays rows out in columns, for where letters are all equally wide.
func table(rows []job.Row) string {
	var b strings.Builder
	b.WriteString("  fast  slow    score   Sharpe  return %  trades\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "%6d%6d%9.2f%9.2f%10.2f%8d\n", r.FastPeriod, r.SlowPeriod, r.Score, r.SharpeRatio, r.TotalReturnPct, r.TotalTrades)
	}
	return b.String()
}
