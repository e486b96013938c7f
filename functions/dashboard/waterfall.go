package dashboard

import (
	"fmt"
	"strconv"
	"time"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs"
)

// waterfall is a job's timeline as a drawing: one bar for each step, from the
// event that it waited for to the event that ended it.
type waterfall struct {
	Bars  []bar
	Ticks []tick
	Total string
}

// bar is one step. From and Width are percents of the whole time.
type bar struct {
	Name string
	// Kind is how it is drawn: work (we or the API are at it), wait (nobody
	// is), bad (it failed) or open (it goes on).
	Kind        string
	From, Width string
	Took        string
	At          time.Time
	Attempt     int
	Note, Error string
	// Progressing names the job whose progress Note is, to be kept up to date.
	Progressing string
}

// tick is a mark on the time axis.
type tick struct{ At, Label, Anchor string }

// narrowest is the least width of a bar that can be seen, in percent.
const narrowest = 0.8

// draw makes the waterfall of a job as it stands now. There is none without
// events.
func draw(j jobs.Found, events []job.TimelineEvent, now time.Time) waterfall {
	if len(events) == 0 {
		return waterfall{}
	}
	begin := events[0].Time
	steps := make([]step, 0, len(events)+1)
	cancelled := j.Shown() == job.ShownCancelled
	last := begin
	end := begin
	for _, e := range events {
		s := stepOf(e, last)
		if name := cancelNames[e.Type]; cancelled && s.Kind == "bad" && name != "" { // what its owner wanted is no failure
			s.Name, s.Kind, s.Error = name, "work", ""
		}
		if n := len(steps); n > 0 && s.Error == steps[n-1].Error {
			s.Error = "" // once is enough
		}
		if e.Type != event.JobNotified { // channels are told side by side
			last = later(last, e.Time)
		}
		end = later(end, e.Time)
		steps = append(steps, s)
	}
	if !j.Status.Terminal() {
		end = later(end, now)
		steps = append(steps, openStep(j, last, end))
	}
	whole := end.Sub(begin)
	w := waterfall{Total: span(whole)}
	for _, s := range steps {
		w.Bars = append(w.Bars, s.measure(begin, whole))
	}
	w.Ticks = ticks(whole)
	return w
}

// cancelNames are the last steps of a job that was cancelled.
var cancelNames = map[string]string{event.SweepFailed: "Cancelled", event.JobFailed: "Cancelling stored"}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// step is a bar before it is measured.
type step struct {
	bar

	from, to time.Time
}

// stepOf is the step that e ended. Clocks of different machines may differ, so
// that an event can be older than the one it follows: such a step took no time.
func stepOf(e job.TimelineEvent, before time.Time) step {
	s := step{from: before, to: later(before, e.Time)}
	s.bar = bar{Name: eventName(e.Type), Kind: "work", At: e.Time, Attempt: e.Attempt, Error: e.Error}
	text := func(name string) string { t, _ := e.Data[name].(string); return t }
	switch e.Type {
	case event.SweepAdmitted:
		s.Name, s.Kind = "Waited for a slot", "wait"
	case event.SweepSubmitted:
		s.Name = "Submitted to the trading API"
	case event.SweepCompleted:
		s.Name, s.Note = "Sweep ran at the trading API", via(text("via"))
	case event.SweepFailed:
		s.Kind, s.Note = "bad", via(text("via"))
		if s.Error == "" {
			s.Error = text("error_message")
		}
	case event.SweepCollected:
		s.Name = "Results fetched and stored"
	case event.JobFailed:
		s.Kind = "bad"
	case event.JobNotified:
		s.Name, s.Note = "Notified", text("channel")
		if again, _ := e.Data["again"].(bool); again {
			s.Note += ", perhaps twice"
		}
		if s.Error != "" {
			s.Name, s.Kind = "Not notified", "bad"
		}
	}
	if late, _ := e.Data["late"].(bool); late {
		s.Kind, s.Note = "wait", "too late, changed nothing"
	}
	return s
}

// openStep is what the job is at now.
func openStep(j jobs.Found, from, to time.Time) step {
	s := step{from: from, to: to}
	s.bar = bar{Kind: "open", At: from}
	switch {
	case j.Place > 0:
		s.Name, s.Note = "Waiting for a slot", fmt.Sprintf("number %d", j.Place)
	case j.Ending:
		s.Name, s.Note = "Fetching and storing results", collected(j.Collecting)
	case j.Status == job.Running:
		s.Name, s.Note, s.Progressing = "Running at the trading API", fmt.Sprintf("%d %%", j.Progress), j.JobID
	default:
		s.Name = "On its way to the trading API"
	}
	return s
}

// collected says how far the results are stored.
func collected(c *job.Collecting) string {
	switch {
	case c == nil:
		return ""
	case c.Total == 0:
		return grouped(c.Rows) + " rows"
	}
	return grouped(c.Rows) + " of " + grouped(c.Total) + " rows"
}

func via(word string) string {
	switch event.Via(word) {
	case event.ViaCallback:
		return "the API called back"
	case event.ViaPoll:
		return "found by asking the API"
	case event.ViaDeadline:
		return "the deadline passed"
	case event.ViaOwner:
		return "its owner cancelled it"
	case event.ViaDeadLetter:
		return "retries exhausted"
	case event.ViaSubmit:
		return "at submission"
	case event.ViaCollect:
		return "its results could not be fetched"
	case event.ViaJobStore:
		return "found in the job store"
	}
	return ""
}

// measure places the step on the axis.
func (s step) measure(begin time.Time, whole time.Duration) bar {
	b := s.bar
	if d := s.to.Sub(s.from); d > 0 {
		b.Took = span(d)
	}
	if whole <= 0 {
		b.From, b.Width = "0%", percent(narrowest)
		return b
	}
	from := 100 * float64(s.from.Sub(begin)) / float64(whole)
	width := max(100*float64(s.to.Sub(s.from))/float64(whole), narrowest)
	b.From, b.Width = percent(min(from, 100-width)), percent(width)
	return b
}

func percent(f float64) string { return strconv.FormatFloat(f, 'f', 3, 64) + "%" }

// ticks divide the axis in four.
func ticks(whole time.Duration) []tick {
	var out []tick
	for i := range 5 {
		t := tick{At: percent(float64(i) * 25), Label: span(whole * time.Duration(i) / 4), Anchor: "middle"}
		switch i {
		case 0:
			t.Anchor, t.Label = "start", "0"
		case 4:
			t.Anchor = "end"
		}
		out = append(out, t)
	}
	return out
}
