package jobs

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/rfc3339"
)

// The sorts of a list.
const (
	// SortCreated puts the newest job first. It is what is meant where nobody says.
	SortCreated = "created"
	// SortScore puts the job with the best score first; those without come last.
	SortScore = "score"
)

// ParseQuery reads the filters of a list. Its error is a job.Invalid with all
// problems. Empty parameters do not count, as a form sends them.
func ParseQuery(v url.Values) (jobstore.Query, error) {
	q := jobstore.Query{Ticker: v.Get("ticker"), Text: v.Get("q"), Cursor: v.Get("cursor")}
	var problems job.Invalid
	bad := func(field, message string) { problems = append(problems, job.Problem{Field: field, Message: message}) }
	for _, text := range v["status"] {
		for word := range strings.SplitSeq(text, ",") {
			if word == "" {
				continue
			}
			s := job.State(strings.ToUpper(strings.TrimSpace(word)))
			if !s.Listed() {
				bad("status", "must be QUEUED, RUNNING, COMPLETED, FAILED or CANCELLED")
				break
			}
			q.Status = append(q.Status, s)
		}
	}
	if q.Group = strings.ToLower(v.Get("group")); q.Group != "" && !job.ValidID(q.Group) {
		bad("group", "must be the id of a group")
	}
	if q.Prefix = strings.ToLower(v.Get("prefix")); q.Prefix != "" && !jobstore.ValidPrefix(q.Prefix) {
		bad("prefix", "must be the first "+strconv.Itoa(jobstore.MinPrefix)+" or more digits of a job's id")
	}
	q.Labels = labelsOf(v["label"], bad)
	switch v.Get("sort") {
	case "", SortCreated:
	case SortScore:
		q.Sort = jobstore.BestFirst
	default:
		bad("sort", "must be "+SortCreated+" or "+SortScore)
	}
	if text := v.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > jobstore.MaxLimit {
			bad("limit", "must be 1 to "+strconv.Itoa(jobstore.MaxLimit))
		}
		q.Limit = n
	}
	for name, into := range map[string]*time.Time{"since": &q.Since, "until": &q.Until} {
		if text := v.Get(name); text != "" {
			at, err := rfc3339.Parse(text)
			if err != nil {
				bad(name, "must be a time such as 2026-01-31T12:00:00Z")
			}
			*into = at
		}
	}
	if len(problems) > 0 {
		return q, problems
	}
	return q, nil
}

// labelsOf are labels to look for, separated by commas or given several times.
func labelsOf(texts []string, bad func(field, message string)) (labels []string) {
	for _, text := range texts {
		for word := range strings.SplitSeq(text, ",") {
			switch word = strings.TrimSpace(word); {
			case word == "" || slices.Contains(labels, word):
			case !job.ValidLabel(word):
				bad("label", "each "+job.LabelRule)
				return nil
			default:
				labels = append(labels, word)
			}
		}
	}
	if len(labels) > job.MaxLabels {
		bad("label", "must be "+strconv.Itoa(job.MaxLabels)+" at most")
		return nil
	}
	return labels
}

// parameters are those that say which jobs are meant.
var parameters = []string{"status", "ticker", "q", "group", "label", "since", "until", "limit", "cursor"}

// ParseBulk reads what an act on many jobs is to be done with: the filters of a list, or
// ids, which may be none. Its error is a job.Invalid with all problems. It is stricter
// than ParseQuery: a filter that is misspelt, or that is left out by mistake, would have
// the act done to jobs that nobody meant.
func ParseBulk(act Act, v url.Values, ids []string) (Bulk, error) {
	b := Bulk{Act: act}
	var problems job.Invalid
	bad := func(field, message string) { problems = append(problems, job.Problem{Field: field, Message: message}) }
	unknown := false
	for name := range v {
		switch {
		case name == "dry_run":
			on, err := strconv.ParseBool(v.Get(name))
			if err != nil {
				bad(name, "must be true or false")
			}
			b.DryRun = on
		case !slices.Contains(parameters, name):
			unknown = true
			bad(job.Clip(name), function.UnknownParameter(slices.Concat(parameters, []string{"dry_run"})...))
		}
	}
	var err error
	if b.Query, err = ParseQuery(v); err != nil {
		invalid, _ := errors.AsType[job.Invalid](err)
		problems = append(problems, invalid...)
	}
	if b.Query.Limit > MaxBulk {
		bad("limit", "must be 1 to "+strconv.Itoa(MaxBulk))
	}
	if b.Query.Limit == 0 {
		b.Query.Limit = MaxBulk
	}
	if b.Query.Needle() != strings.TrimSpace(b.Query.Text) { // what is cut off would find more
		bad("q", "must be text of at most 200 bytes")
	}
	narrowed := len(b.Query.Status) > 0 || b.Query.Ticker != "" || b.Query.Needle() != "" || b.Query.Group != "" ||
		len(b.Query.Labels) > 0 || !b.Query.Since.IsZero() || !b.Query.Until.IsZero()
	for _, s := range b.Query.Status {
		if !slices.Contains(act.States(), s) {
			bad("status", act.Rule())
			break
		}
	}
	if len(b.Query.Status) == 0 {
		b.Query.Status = act.Unasked()
	}
	b.IDs = checkIDs(ids, bad)
	switch {
	case len(ids) > 0 && (narrowed || v.Get("cursor") != ""):
		bad("ids", "stand alone: name jobs or filters, not both")
	case len(ids) == 0 && !narrowed && !unknown: // which may be the filter, misspelt
		bad("status", "is required, or another filter, or ids: nothing is done to all jobs unasked")
	}
	if len(problems) > 0 {
		problems.Sort()
		return b, problems
	}
	return b, nil
}

// checkIDs gives the ids of jobs, each once and in lower case.
func checkIDs(ids []string, bad func(field, message string)) (checked []string) {
	if len(ids) > MaxBulk {
		bad("ids", "must be 1 to "+strconv.Itoa(MaxBulk)+" jobs")
		return nil
	}
	for _, id := range ids {
		id = strings.ToLower(id)
		if !job.ValidID(id) {
			bad("ids", "must be ids of jobs")
			return nil
		}
		if !slices.Contains(checked, id) {
			checked = append(checked, id)
		}
	}
	return checked
}
