package trading

import (
	"encoding/json"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/zixly/sweepline/shared/job"
)

// maxMessage bounds texts of the API that we keep, in bytes.
const maxMessage = 2000

// Compiled when first needed: counted repetitions cost milliseconds of every
// function's start, and most starts need none of them.
var (
	jobIDForm = form(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$`)
	runIDForm = form(`^[A-Za-z0-9][A-Za-z0-9-]{0,63}$`)
	// The older dialect tells the run id in prose: "… sweep_run_id: UUID".
	runIDText = form(`(?i)sweep_run_id["']?\s*[:=]\s*["']?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})`)
)

func form(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}

// validJobID keeps ids to what fits into paths, keys and logs as it is.
func validJobID(id string) bool { return jobIDForm().MatchString(id) }

// stamp reads a time in any form that the API uses: RFC 3339, or without a zone,
// which means UTC. What it cannot read is the zero time: no decision hangs on
// the API's clock.
type stamp struct{ time.Time }

func (s *stamp) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) != nil {
		return nil //nolint:nilerr // not a text: a time that is not there
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04:05Z07:00"} {
		if t, err := time.Parse(layout, text); err == nil {
			s.Time = t.UTC()
			return nil
		}
	}
	return nil
}

type parameters struct {
	WebhookURL   string `json:"webhook_url"`
	Combinations int    `json:"combinations"`
}

// readParameters takes what it understands: other commands of the API have
// other parameters.
func readParameters(raw json.RawMessage) parameters {
	var p parameters
	_ = json.Unmarshal(raw, &p)
	return p
}

type resultData struct {
	RunID     string          `json:"sweep_run_id"`
	Total     int             `json:"total_combinations"`
	Seconds   float64         `json:"execution_time_seconds"`
	Synthetic bool            `json:"synthetic"`
	Output    json.RawMessage `json:"output"`
}

// readResultData takes what it understands; a bare text counts as the output.
func readResultData(raw json.RawMessage) resultData {
	var d resultData
	if json.Unmarshal(raw, &d) != nil && strings.HasPrefix(strings.TrimSpace(string(raw)), `"`) {
		d = resultData{Output: raw}
	}
	d.Total = max(d.Total, 0)
	d.Seconds = max(d.Seconds, 0)
	return d
}

// runID finds the run id in the three places where it can stand. An id of
// another form than an id is none.
func runID(top string, d resultData) string {
	for _, id := range []string{top, d.RunID} {
		if runIDForm().MatchString(id) {
			return id
		}
	}
	if m := runIDText().FindStringSubmatch(rawText(d.Output)); m != nil {
		return strings.ToLower(m[1])
	}
	return ""
}

// clean makes a text from outside fit for logs, pages, terminals, sheets and the job
// store: valid UTF-8, no control characters (PostgreSQL refuses NUL), none that is
// unseen and turns what stands around it, at most limit bytes.
func clean(s string, limit int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(job.Printable, s)
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return strings.TrimSpace(s)
}
