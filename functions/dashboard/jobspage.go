package dashboard

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs"
	"github.com/zixly/sweepline/shared/jobstore"
)

const (
	// traceTimeout is how long a page waits for its job's trace id.
	traceTimeout = 500 * time.Millisecond
	// formTime is what browsers send for a local date and time. We mean UTC.
	formTime = "2006-01-02T15:04"
)

// withins are the time filter's choices, besides exact times.
var withins = []struct{ Value, Label string }{
	{"", "any time"}, {"1h", "last hour"}, {"24h", "last day"}, {"168h", "last 7 days"}, {"720h", "last 30 days"},
}

type jobsView struct {
	view
	Jobs []jobs.Found
	Tabs []tab
	// Ticker, Text, Within, Since and Until are the filters as they were sent.
	Ticker, Text, Label, Within, Since, Until, Status string
	// Group is the group whose page it is; nil for all jobs.
	Group *groupView
	// Created and Score are the heads of the columns that sort.
	Created, Score column
	// Next and First are links to pages, or empty.
	Next, First string
	Filtered    bool
	Slots       *slotsView
	// RetryAll and CancelAll ask what would become of all jobs that the filters find;
	// empty where there is none to do it to. Back is this list.
	RetryAll, CancelAll *actLink
	Back                string
}

// actLink leads to an act on all jobs that match.
type actLink struct {
	Href string
	// Count is how many there are, 0 where nobody knows.
	Count int
}

// tab is one state to filter by, with the number of jobs in it.
type tab struct {
	Label, State, Href string
	Count              int
	// Counted is false where the number is not known.
	Counted, Current bool
}

// Withins are the time filter's choices.
func (jobsView) Withins() []struct{ Value, Label string } { return withins }

// pageQuery turns the form's filters into those of the API.
func pageQuery(v url.Values, now time.Time) url.Values {
	out := url.Values{}
	for name, values := range v {
		out[name] = values
	}
	if d, err := time.ParseDuration(v.Get("within")); err == nil && d > 0 {
		out.Set("since", now.Add(-d).Truncate(time.Minute).UTC().Format(time.RFC3339)) // whole minutes, so that counts can be remembered
	}
	for _, name := range []string{"since", "until"} {
		if at, err := time.Parse(formTime, v.Get(name)); err == nil && out.Get(name) == v.Get(name) {
			out.Set(name, at.Format(time.RFC3339))
		}
	}
	return out
}

func (f *Function) jobsPage(w http.ResponseWriter, r *http.Request) {
	ctx, sent := r.Context(), r.URL.Query()
	sent.Del("prefix") // the API's; acts on all that match, which the page leads to, have no such filter
	r.URL.RawQuery = sent.Encode()
	q, err := jobs.ParseQuery(pageQuery(sent, f.jobs.Now()))
	if err != nil {
		f.problem(w, r, http.StatusBadRequest, "These filters make no sense", err.Error())
		return
	}
	if q.Group != "" && sent.Get("sort") == "" { // a group is asked which is best
		q.Sort = jobstore.BestFirst
	}
	v := jobsView{
		view: f.view(r), Ticker: q.Ticker, Text: q.Text, Label: strings.Join(q.Labels, ", "), Within: sent.Get("within"), Since: sent.Get("since"), Until: sent.Get("until"),
		Filtered: q.Ticker != "" || q.Text != "" || q.Group != "" || len(q.Labels) > 0 || len(q.Status) > 0 || !q.Since.IsZero() || !q.Until.IsZero(),
	}
	if len(q.Status) == 1 {
		v.Status = string(q.Status[0])
	}
	var wg sync.WaitGroup
	wg.Go(func() { v.Slots = f.slotsInUse(ctx) })
	page, err := f.jobs.List(ctx, q)
	counts, whole := jobs.CountsOf(q, page)
	if err == nil {
		if !whole {
			wg.Go(func() { counts = f.jobs.Counts(ctx, q) })
		}
		v.Jobs = f.jobs.Live(ctx, page.Jobs)
		f.jobs.TellRetries(ctx, v.Jobs)
	}
	wg.Wait()
	switch {
	case errors.Is(err, jobstore.ErrCursor):
		f.problem(w, r, http.StatusBadRequest, "There is no such page", "The link is damaged. Start from the first page.")
		return
	case tooMuch(w, err):
		f.problem(w, r, http.StatusTooManyRequests, "Too much at once", "Other lists of yours are being searched: "+err.Error()+". Try again in a moment.")
		return
	case err != nil:
		slog.WarnContext(ctx, "listing jobs failed", "error", err)
		f.problem(w, r, http.StatusServiceUnavailable, "The list is not available", "The database does not answer. Jobs run on and none is lost; try again in a moment.")
		return
	}
	v.Tabs = tabs(r.URL, q.Status, counts)
	v.RetryAll, v.CancelAll = linkAll(r.URL, jobs.ActRetry, q.Status, counts), linkAll(r.URL, jobs.ActCancel, q.Status, counts)
	v.Group = groupOf(q, counts, v.Jobs)
	v.Back = listLink(r.URL, "", "")
	v.Created, v.Score = sortHeads(r.URL, q.Sort)
	if page.Next != "" {
		v.Next = listLink(r.URL, "cursor", page.Next)
	}
	if q.Cursor != "" {
		v.First = listLink(r.URL, "cursor", "")
	}
	render(w, r, http.StatusOK, "jobs.html", v)
}

func tabs(u *url.URL, chosen []job.State, counts map[job.State]int) []tab {
	all := tab{Label: "All", Href: listLink(u, "status", ""), Current: len(chosen) == 0, Counted: counts != nil}
	out := []tab{all}
	for _, s := range []struct {
		state job.State
		label string
	}{{job.Queued, "Queued"}, {job.Running, "Running"}, {job.Completed, "Completed"}, {job.Failed, "Failed"}, {job.ShownCancelled, "Cancelled"}} {
		out[0].Count += counts[s.state]
		out = append(out, tab{
			Label: s.label, State: string(s.state), Href: listLink(u, "status", string(s.state)), Count: counts[s.state],
			Counted: counts != nil, Current: len(chosen) == 1 && chosen[0] == s.state,
		})
	}
	return out
}

// sortHeads are the columns that sort the list, and which does now.
func sortHeads(u *url.URL, by jobstore.Sort) (created, score column) {
	created = column{Label: "Created (UTC)", Href: listLink(u, "sort", jobs.SortCreated)}
	score = column{Label: "Best score", Href: listLink(u, "sort", jobs.SortScore)}
	if by == jobstore.BestFirst {
		score.Sort = "descending"
	} else {
		created.Sort = "descending"
	}
	return created, score
}

// groupView heads the list of a group.
type groupView struct {
	ID string
	// Total is how many jobs it has, Ended how many of them have ended; 0 where nobody knows.
	Total, Ended int
	// Best is the job with the best score, where the list is sorted so.
	Best *jobs.Found
}

func groupOf(q jobstore.Query, counts map[job.State]int, found []jobs.Found) *groupView {
	if q.Group == "" {
		return nil
	}
	g := &groupView{ID: q.Group}
	for state, n := range counts {
		if g.Total += n; state.Terminal() || state == job.ShownCancelled {
			g.Ended += n
		}
	}
	if q.Sort == jobstore.BestFirst && q.Cursor == "" && len(found) > 0 && found[0].Metrics != nil && found[0].Metrics.Combinations > 0 {
		g.Best = &found[0]
	}
	return g
}

// linkAll leads to an act on all jobs of the list, nil where none of them is in a state
// for it.
func linkAll(u *url.URL, act jobs.Act, chosen []job.State, counts map[job.State]int) *actLink {
	l := &actLink{}
	var states []job.State
	for _, s := range act.States() {
		if len(chosen) == 0 && slices.Contains(act.Unasked(), s) || slices.Contains(chosen, s) {
			states = append(states, s)
			l.Count += counts[s]
		}
	}
	if len(states) == 0 || counts != nil && l.Count == 0 {
		return nil
	}
	v := u.Query()
	v.Del("cursor")
	v.Del("sort")
	v.Set("act", string(act))
	v.Set("status", joined(states))
	for key := range v {
		if v.Get(key) == "" {
			v.Del(key)
		}
	}
	l.Href = "/act?" + v.Encode()
	return l
}

// listLink is this list with one filter changed; but for the cursor, that
// starts at the first page again.
func listLink(u *url.URL, name, value string) string {
	v := u.Query()
	v.Del("cursor")
	v.Del(name)
	if value != "" {
		v.Set(name, value)
	}
	for key := range v { // a form sends what was left empty, too
		if v.Get(key) == "" {
			v.Del(key)
		}
	}
	if len(v) == 0 {
		return u.Path
	}
	return u.Path + "?" + v.Encode()
}

// grouped writes a number with its thousands apart.
func grouped(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "\u202f" + text[i:]
	}
	return text
}
