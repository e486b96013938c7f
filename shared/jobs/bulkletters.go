package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strconv"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
)

// LetterAct is what can be done with many dead letters at once.
type LetterAct string

// The acts.
const (
	ActRedrive LetterAct = "redrive"
	ActDiscard LetterAct = "discard"
)

// LetterFilter narrows dead letters. Zero fields do not.
type LetterFilter struct {
	Trigger string
	// Cause is a Cause's name.
	Cause string
}

// BulkLetters asks for an act on many dead letters.
type BulkLetters struct {
	Act LetterAct
	// IDs name the letters, at most MaxBulk. Without them they are a page, of Limit from
	// Cursor on, of those that Filter finds.
	IDs    []string
	Filter LetterFilter
	Limit  int
	Cursor string
	DryRun bool
}

// BulkLetter is one letter of BulkLetters.
type BulkLetter struct {
	ID      string `json:"id"`
	Trigger string `json:"trigger,omitempty"`
	JobID   string `json:"job_id,omitempty"`
	// Outcome is Matches in a dry run; else Done, Missing or Postponed.
	Outcome Outcome `json:"outcome"`
	// JobStatus is how its job has ended, where redriving it changes nothing for that.
	JobStatus job.State `json:"job_status,omitempty"`
	Reason    string    `json:"reason,omitempty"`
}

// BulkLettersResult is what became of BulkLetters.
type BulkLettersResult struct {
	Act     LetterAct    `json:"act"`
	DryRun  bool         `json:"dry_run"`
	Letters []BulkLetter `json:"dead_letters"`
	// Counts are the letters by outcome.
	Counts map[Outcome]int `json:"counts"`
	// Next is the cursor of the page that follows, empty after the last one.
	Next string `json:"next_cursor,omitempty"`
	// RetryAfter is in how many seconds to send the same call again, where some letters
	// were postponed.
	RetryAfter int `json:"retry_after_seconds,omitempty"`

	// Err is why the first of them was.
	Err error `json:"-"`
}

// Some reports whether anything but postponing came of it.
func (r BulkLettersResult) Some() bool {
	return len(r.Letters) == 0 || r.Counts[Postponed] < len(r.Letters)
}

// ManyLetters acts on many of the caller's dead letters. What becomes of a letter is no
// error but its outcome; an error means that they could not be listed, and is a
// job.Invalid for a cursor that is none. That a letter is redriven says that its
// subscriber is given it again; should that fail again, there is a new letter.
func (s *Service) ManyLetters(ctx context.Context, b BulkLetters) (BulkLettersResult, error) {
	ctx, cancel := context.WithTimeout(ctx, bulkTimeout)
	defer cancel()
	r := BulkLettersResult{Act: b.Act, DryRun: b.DryRun, Letters: []BulkLetter{}, Counts: map[Outcome]int{}}
	for _, id := range b.IDs {
		r.Letters = append(r.Letters, BulkLetter{ID: id})
	}
	if len(b.IDs) == 0 {
		own, next, err := s.OwnDeadLetters(ctx, b.Filter, b.Limit, b.Cursor)
		if err != nil {
			return r, err
		}
		for _, l := range own {
			r.Letters = append(r.Letters, BulkLetter{ID: l.ID, Trigger: l.Trigger, JobID: l.JobID})
		}
		r.Next = next
	}
	release, err := s.TakeRead(ctx, auth.FromContext(ctx))
	if err != nil {
		return r, err
	}
	defer release()
	r.Err = eachOf(ctx, r.Letters, func(ctx context.Context, one *BulkLetter) error { return s.onLetter(ctx, b, one) })
	for _, one := range r.Letters {
		r.Counts[one.Outcome]++
	}
	if r.Err != nil {
		r.RetryAfter = againIn(r.Err)
		slog.WarnContext(ctx, "bulk action on dead letters stopped early, rest postponed", "act", string(b.Act), "letters", r.Counts[Postponed], "error", r.Err)
	}
	return r, nil
}

func (s *Service) onLetter(ctx context.Context, b BulkLetters, one *BulkLetter) error {
	if b.DryRun {
		l, err := s.DeadLetters.DeadLetter(ctx, one.ID)
		switch {
		case err != nil:
			return err
		case !s.owns(ctx, l):
			return broker.ErrNotFound
		}
		one.Trigger, one.JobID, one.Outcome = l.Trigger, l.Event.Subject(), Matches
		return nil
	}
	ended, err := map[LetterAct]func(context.Context, string) (job.State, error){ActRedrive: s.Redrive, ActDiscard: s.Discard}[b.Act](ctx, one.ID)
	if err != nil {
		return err
	}
	one.Outcome = Done
	if b.Act == ActRedrive {
		one.JobStatus = ended
	}
	return nil
}

// state implements outcomeOf.
func (l *BulkLetter) state() (*Outcome, *string) { return &l.Outcome, &l.Reason }

var causePattern = regexp.MustCompile(`^[0-9a-f]{12}$`)

// longestTrigger bounds the name of a Trigger, Kubernetes' own bound.
const longestTrigger = 253

// ParseLetterFilter reads the filters of a list of dead letters, and its limit, which is
// 0 where there is none. Its error is a job.Invalid with all problems.
func ParseLetterFilter(v url.Values, most int) (f LetterFilter, limit int, err error) {
	var problems job.Invalid
	f = LetterFilter{Trigger: v.Get("trigger"), Cause: v.Get("cause")}
	if len(f.Trigger) > longestTrigger {
		problems = append(problems, job.Problem{Field: "trigger", Message: "must be the name of a Trigger"})
	}
	if f.Cause != "" && !causePattern.MatchString(f.Cause) {
		problems = append(problems, job.Problem{Field: "cause", Message: "must be 12 hexadecimal digits, as the list has them"})
	}
	if text := v.Get("limit"); text != "" {
		limit, err = strconv.Atoi(text)
		if err != nil || limit < 1 || limit > most {
			problems = append(problems, job.Problem{Field: "limit", Message: fmt.Sprintf("must be 1 to %d", most)})
		}
	}
	if len(problems) > 0 {
		return f, limit, problems
	}
	return f, limit, nil
}

// letterParameters are those of an act on many dead letters.
var letterParameters = []string{"trigger", "cause", "all", "dry_run", "limit", "cursor"}

// ParseBulkLetters reads what an act on many dead letters is to be done with: trigger,
// cause, or all=true; or ids, which may be none. Its error is a job.Invalid with all
// problems. As ParseBulk it refuses what could be a mistake.
func ParseBulkLetters(act LetterAct, v url.Values, ids []string) (BulkLetters, error) {
	b := BulkLetters{Act: act, Cursor: v.Get("cursor")}
	var problems job.Invalid
	bad := func(field, message string) { problems = append(problems, job.Problem{Field: field, Message: message}) }
	flag := func(name string) bool {
		on, err := strconv.ParseBool(v.Get(name))
		if err != nil && v.Has(name) {
			bad(name, "must be true or false")
		}
		return on
	}
	var err error
	b.DryRun = flag("dry_run")
	all := flag("all")
	if b.Filter, b.Limit, err = ParseLetterFilter(v, MaxBulk); err != nil {
		problems = append(problems, err.(job.Invalid)...) //nolint:errorlint,forcetypeassert // it is no other
	}
	if b.Limit == 0 {
		b.Limit = MaxBulk
	}
	unknown := false
	for name := range v {
		if !slices.Contains(letterParameters, name) {
			unknown = true
			bad(job.Clip(name), function.UnknownParameter(letterParameters...))
		}
	}
	narrowed := b.Filter != LetterFilter{}
	switch {
	case len(ids) > MaxBulk || slices.ContainsFunc(ids, func(id string) bool { return id == "" || len(id) > maxLetterID }):
		bad("ids", fmt.Sprintf("must be the ids of 1 to %d dead letters", MaxBulk))
	case len(ids) > 0 && (narrowed || all || b.Cursor != ""):
		bad("ids", "stand alone: name dead letters or filters, not both")
	case len(ids) == 0 && !narrowed && !all && !unknown: // which may be the filter, misspelt
		bad("trigger", "is required, or cause, or all=true, or ids: nothing is done to all dead letters unasked")
	}
	if len(problems) > 0 {
		problems.Sort()
		return b, problems
	}
	for _, id := range ids {
		if !slices.Contains(b.IDs, id) {
			b.IDs = append(b.IDs, id)
		}
	}
	return b, nil
}

// maxLetterID bounds the id of a dead letter, in bytes: of a place in Redis and two names.
const maxLetterID = 1 << 10
