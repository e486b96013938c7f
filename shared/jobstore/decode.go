package jobstore

import (
	"cmp"
	"encoding/json"
	"log/slog"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
)

// The first and last instant that JSON can tell (RFC 3339 has four digits for
// a year).
var (
	Earliest = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)
	Latest   = time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)
)

// Between is t in UTC, moved to Earliest or Latest where it lies beyond.
func Between(t time.Time) time.Time {
	switch t = t.UTC(); {
	case t.Before(Earliest):
		return Earliest
	case t.After(Latest):
		return Latest
	}
	return t
}

// Decode fills a job's JSON columns. A column that cannot be read, since
// somebody else wrote it, is logged and left out: one bad job must not keep a
// list from being read.
func Decode(j job.Job, parameters, best, metrics, labels []byte) job.Job {
	for _, column := range []struct {
		name string
		raw  []byte
		into any
		undo func()
	}{
		{"parameters", parameters, &j.Parameters, func() { j.Parameters = job.Sweep{} }},
		{"result", best, &j.Results, func() { j.Results = nil }},
		{"metrics", metrics, &j.Metrics, func() { j.Metrics = nil }},
		{"labels", labels, &j.Labels, func() { j.Labels = nil }},
	} {
		if len(column.raw) == 0 {
			continue
		}
		if err := json.Unmarshal(column.raw, column.into); err != nil {
			column.undo()
			slog.Warn("invalid job column, skipping", "job_id", j.JobID, "column", column.name, "error", err)
		}
	}
	return j
}

// Labels are labels as they are stored.
func Labels(labels []string) string {
	text, _ := json.Marshal(labels) // of strings it cannot fail
	return string(text)
}

// DecodeData is the data of a timeline's line, nil where there is none or it
// cannot be read.
func DecodeData(raw []byte) map[string]any {
	var data map[string]any
	if len(raw) == 0 || json.Unmarshal(raw, &data) != nil {
		return nil
	}
	return data
}

// steps is the order in which a job's events follow from each other.
var steps = []string{
	event.SweepRequested, event.SweepAdmitted, event.SweepSubmitted, event.SweepCompleted, event.SweepCollected, event.SweepFailed,
	event.JobCompleted, event.JobFailed, event.JobNotified,
}

// Timeline sorts a job's events by time, those of one instant as they follow
// from each other, and fills the data of its end's announcement, which is not
// stored: it follows from the job, which ended asks for.
func Timeline(events []job.TimelineEvent, ended func() (job.Job, error)) ([]job.TimelineEvent, error) {
	sort.Slice(events, func(i, j int) bool {
		a, b := &events[i], &events[j]
		return cmp.Or(a.Time.Compare(b.Time), slices.Index(steps, a.Type)-slices.Index(steps, b.Type), a.Attempt-b.Attempt, strings.Compare(a.ID, b.ID)) < 0
	})
	for i, e := range events {
		if e.Data != nil || e.Type != event.JobCompleted && e.Type != event.JobFailed {
			continue
		}
		j, err := ended()
		if err != nil {
			return nil, err
		}
		raw, err := json.Marshal(event.Finished{Job: j})
		if err != nil {
			return nil, err
		}
		events[i].Data = DecodeData(raw)
	}
	return events, nil
}
