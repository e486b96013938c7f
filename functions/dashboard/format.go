package dashboard

import (
	"encoding/json"
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs"
)

// words are what the templates say numbers, times and names with.
var words = template.FuncMap{
	"clock": clock, "day": day, "hour": hour, "iso": iso, "number": number, "duration": duration, "span": span, "short": short, "elapsed": elapsed, "failing": jobs.Failing,
	"eventName": eventName, "errorName": errorName, "stateName": stateName, "plural": plural, "grouped": grouped, "pretty": pretty, "groupPath": groupPath, "said": jobs.Said,
}

func iso(t any) string {
	switch at := t.(type) {
	case time.Time:
		return at.UTC().Format(time.RFC3339)
	case *time.Time:
		if at != nil {
			return iso(*at)
		}
	}
	return ""
}

func clock(t any) string {
	switch at := t.(type) {
	case time.Time:
		return at.UTC().Format("2006-01-02 15:04:05")
	case *time.Time:
		if at != nil {
			return clock(*at)
		}
	}
	return ""
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func hour(t time.Time) string { return t.UTC().Format(time.TimeOnly) }

// number writes a float64, or what a *float64 points to, with two decimals.
func number(x any) string {
	switch f := x.(type) {
	case float64:
		return strconv.FormatFloat(f, 'f', 2, 64)
	case *float64:
		if f != nil {
			return number(*f)
		}
	}
	return ""
}

func duration(seconds *float64) string {
	if seconds == nil {
		return ""
	}
	return span(time.Duration(*seconds * float64(time.Second)))
}

// elapsed is how long something has taken so far, in whole seconds.
func elapsed(s float64) string { return seconds(time.Duration(s * float64(time.Second))) }

// seconds is span without parts of a second.
func seconds(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%d s", max(d, 0)/time.Second)
	}
	return span(d)
}

// left is how long something may still take, nothing where that is not known.
func left(eta *time.Time, now time.Time) string {
	if eta == nil || !eta.After(now) {
		return ""
	}
	return "≈ " + seconds(max(eta.Sub(now), time.Second))
}

// span says how long something took, in its two greatest units.
func span(d time.Duration) string {
	switch {
	case d <= 0:
		return "0 s"
	case d < time.Second:
		return fmt.Sprintf("%d ms", max(d.Milliseconds(), 1))
	case d < time.Minute-50*time.Millisecond:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour-500*time.Millisecond:
		d = d.Round(time.Second)
		return fmt.Sprintf("%d min %02d s", d/time.Minute, d%time.Minute/time.Second)
	case d < 48*time.Hour:
		d = d.Round(time.Minute)
		return fmt.Sprintf("%d h %02d min", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

// short names a job in a table; UUIDv7s of one minute begin alike, so it is
// the end that tells them apart.
func short(id string) string {
	if len(id) < 8 {
		return id
	}
	return "…" + id[len(id)-8:]
}

// plural is a number with its word.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + many
}

// pretty writes data as JSON for people.
func pretty(data any) string {
	text, err := json.MarshalIndent(data, "", "  ")
	if err != nil {
		return ""
	}
	return string(text)
}

// eventNames are the timeline's words for people.
var eventNames = map[string]string{
	"com.zixly.sweep.requested.v1": "Accepted",
	"com.zixly.sweep.admitted.v1":  "Admitted to a free slot",
	"com.zixly.sweep.submitted.v1": "Submitted to the trading API",
	"com.zixly.sweep.completed.v1": "Sweep completed",
	"com.zixly.sweep.collected.v1": "Results stored",
	"com.zixly.sweep.failed.v1":    "Sweep failed",
	"com.zixly.job.completed.v1":   "Job completed",
	"com.zixly.job.failed.v1":      "Failure stored",
	"com.zixly.job.notified.v1":    "Notification sent",
}

func eventName(typ string) string {
	if name, ok := eventNames[typ]; ok {
		return name
	}
	return typ
}

func errorName(code job.ErrorCode) string {
	switch code {
	case job.Rejected:
		return "Rejected by the trading API"
	case job.SweepFailed:
		return "The sweep failed"
	case job.TimedOut:
		return "Timed out"
	case job.Undeliverable:
		return "Could not be delivered"
	case job.Cancelled:
		return "Cancelled"
	}
	return string(code)
}

func stateName(s job.State) string {
	if s == "" {
		return ""
	}
	return string(s[:1]) + strings.ToLower(string(s[1:]))
}
