package notify

import (
	"bytes"
	"embed"
	"fmt"
	html "html/template"
	"io"
	"strconv"
	"strings"
	text "text/template"
	"time"
	"unicode"

	"github.com/zixly/sweepline/shared/job"
)

//go:embed templates/*
var templates embed.FS

var functions = map[string]any{"figure": figure, "span": span}

var (
	textTemplates = text.Must(text.New("").Funcs(functions).ParseFS(templates, "templates/*.txt"))
	htmlTemplates = html.Must(html.New("").Funcs(functions).ParseFS(templates, "templates/*.html"))
)

// longestError bounds how much of an error message is sent to people.
const longestError = 500

// bestShown is how many rows a message shows.
const bestShown = 5

// message is what the templates see.
type message struct {
	Job job.Job
	// Link leads to the job.
	Link string
	// Completed is false for a failed job.
	Completed bool
	// Error is the job's error message in one line, bounded.
	Error string
	// Best are the first rows.
	Best []job.Row
}

func newMessage(j job.Job, base string) message {
	return message{
		Job: j, Link: strings.TrimRight(base, "/") + "/webhook/jobs/" + j.JobID, Completed: j.Status == job.Completed,
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
	if m.Completed {
		return fmt.Sprintf("%s sweep of %s completed", p.StrategyType, p.Ticker)
	}
	return fmt.Sprintf("%s sweep of %s failed: %s", p.StrategyType, p.Ticker, m.Reason())
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

// render runs a template; txt or html is told by its name.
func (m message) render(name string) (string, error) {
	var b bytes.Buffer
	var t interface {
		ExecuteTemplate(w io.Writer, name string, data any) error
	} = textTemplates
	if strings.HasSuffix(name, ".html") {
		t = htmlTemplates
	}
	if err := t.ExecuteTemplate(&b, name, m); err != nil {
		return "", fmt.Errorf("render %s: %w", name, err)
	}
	return b.String(), nil
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
