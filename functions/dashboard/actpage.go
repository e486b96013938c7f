package dashboard

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs"
	"github.com/zixly/sweepline/shared/jobstore"
)

const (
	// actedAtOnce is how many jobs one step of an act from the page is for: it should
	// be answered while one looks.
	actedAtOnce = 50
	// maxTickForm is the longest form of ticked jobs, in bytes.
	maxTickForm = 64 << 10
	// mostTold bounds the figures that a form carries on.
	mostTold = 10_000_000
)

// actFields are the filters that an act is done with, as the API names them.
var actFields = []string{"status", "ticker", "q", "group", "label", "since", "until"}

// actView is an act on many jobs: what it would do, or what a step of it did.
type actView struct {
	view
	Act jobs.Act
	// Result is what became of the jobs of this step. In a dry run it is a part of them.
	Result jobs.BulkResult
	// Fields are what the next step is asked for with, in the form's hidden fields.
	Fields []field
	// Filters says in words which jobs these are; empty where they were ticked.
	Filters []field
	// Back is the list that the act was begun from.
	Back string
	// Done, Repeated and Left (refused or missing) count over all steps, Total is how
	// many there are, 0 where nobody knows.
	Done, Repeated, Left, Total int
	// Wait is in how many seconds the next step may be done.
	Wait int
}

type field struct{ Name, Value string }

// More says that the act goes on.
func (v actView) More() bool { return v.Result.Next != "" || v.Wait > 0 }

// Settled is how many jobs nothing is left to do for.
func (v actView) Settled() int { return v.Done + v.Repeated + v.Left }

// Word says what became of a job, or what would.
func (v actView) Word(one jobs.BulkJob) string {
	done := map[jobs.Act]string{jobs.ActRetry: "retried", jobs.ActCancel: "cancelled"}[v.Act]
	return map[jobs.Outcome]string{
		jobs.Matches: done, jobs.Done: done, jobs.Repeated: done + " before", jobs.Refused: "not " + done,
		jobs.Missing: "no such job", jobs.Postponed: "not yet " + done,
	}[one.Outcome]
}

// Said sums up what was done, where the heading does not say all of it.
func (v actView) Said() string {
	if !v.More() && v.Repeated == 0 && v.Left == 0 {
		return ""
	}
	done := map[jobs.Act]string{jobs.ActRetry: "retried", jobs.ActCancel: "cancelled"}[v.Act]
	text := grouped(v.Done) + " " + done
	if v.Total > 0 && v.More() {
		text = grouped(v.Settled()) + " of " + grouped(v.Total) + " done: " + text
	}
	if v.Repeated > 0 {
		text += ", " + grouped(v.Repeated) + " " + done + " before"
	}
	if v.Left > 0 {
		text += ", " + grouped(v.Left) + " not: the state of the job does not allow it"
	}
	text += "."
	if v.Wait > 0 {
		text += " The rest has to wait: you have as many open jobs as one tenant may, or a store does not answer. It goes on in " +
			strconv.Itoa(v.Wait) + " s."
	}
	return text
}

// actPage shows what an act would do to the jobs that the filters find, and asks.
func (f *Function) actPage(w http.ResponseWriter, r *http.Request) {
	act, ok := actOf(r.URL.Query().Get("act"))
	if !ok {
		f.problem(w, r, http.StatusBadRequest, "That was not understood", "The link names no act.")
		return
	}
	query, err := function.StrictQuery(r, "status", "label")
	if err != nil {
		f.problem(w, r, http.StatusBadRequest, "These filters make no sense", err.Error())
		return
	}
	sent := pageQuery(query, f.jobs.Now())
	q := url.Values{"limit": {strconv.Itoa(actedAtOnce)}, "dry_run": {"true"}}
	for _, name := range actFields {
		if text := strings.Join(sent[name], ","); text != "" { // several labels, or states
			q.Set(name, text)
		}
	}
	if q.Get("status") == "" { // whoever follows the link has seen the list
		q.Set("status", joined(act.Unasked()))
	}
	if q.Get("until") == "" { // what comes while one reads was not asked about
		q.Set("until", f.jobs.Now().UTC().Add(time.Second).Format(time.RFC3339)) // not before what is there
	}
	b, err := jobs.ParseBulk(act, q, nil)
	if err != nil {
		f.problem(w, r, http.StatusBadRequest, "These filters make no sense", err.Error())
		return
	}
	got, err := f.jobs.Many(r.Context(), b)
	if err == nil && !got.Some() {
		err = got.Err
	}
	if err != nil {
		f.problemOf(w, r, err)
		return
	}
	back := query
	back.Del("act")
	v := actView{view: f.view(r), Act: act, Result: got, Back: listLink(&url.URL{Path: "/", RawQuery: back.Encode()}, "", "")}
	if got.Total != nil {
		v.Total = *got.Total
	}
	v.take(q)
	v.Fields = append(v.Fields, field{"total", strconv.Itoa(v.Total)})
	render(w, r, http.StatusOK, "act.html", v)
}

// take puts the filters into the form and into words.
func (v *actView) take(q url.Values) {
	labels := map[string]string{"status": "status", "ticker": "ticker", "q": "text", "group": "group", "label": "labels", "since": "created since", "until": "created before"}
	for _, name := range actFields {
		if text := q.Get(name); text != "" {
			v.Fields = append(v.Fields, field{name, text})
			v.Filters = append(v.Filters, field{labels[name], text})
		}
	}
	v.Fields = append(v.Fields, field{"act", string(v.Act)}, field{"back", v.Back})
}

// actOnMany does a step of an act: to the jobs that are ticked, or to a page of those
// that the filters find. Its page tells what became of them and leads to the next step.
func (f *Function) actOnMany(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxTickForm)
	act, ok := jobs.Act(""), false
	if r.ParseForm() == nil {
		act, ok = actOf(r.PostForm.Get("act"))
	}
	if !ok {
		f.problem(w, r, http.StatusBadRequest, "That was not understood", "The form is damaged. Nothing was changed.")
		return
	}
	form := r.PostForm
	v := actView{view: f.view(r), Act: act, Back: localPath(form.Get("back"))}
	ids := form["id"]
	q := url.Values{}
	if len(ids) == 0 {
		q.Set("limit", strconv.Itoa(actedAtOnce))
		for _, name := range append([]string{"cursor"}, actFields...) {
			if text := form.Get(name); text != "" {
				q.Set(name, text)
			}
		}
	}
	if len(ids) == 0 && form.Has("ticked") {
		f.problem(w, r, http.StatusBadRequest, "Nothing was ticked", "So nothing was changed. Tick the jobs first.")
		return
	}
	b, err := jobs.ParseBulk(act, q, ids)
	if err != nil {
		f.problem(w, r, http.StatusBadRequest, "That was not understood", "Nothing was changed: "+err.Error()+".")
		return
	}
	v.Result, err = f.jobs.Many(r.Context(), b)
	switch {
	case errors.Is(err, jobstore.ErrCursor):
		f.problem(w, r, http.StatusBadRequest, "That was not understood", "The form is damaged. Nothing was changed.")
		return
	case err != nil:
		f.problemOf(w, r, err)
		return
	case v.Result.Err != nil:
		slog.WarnContext(r.Context(), "bulk action stopped early, rest postponed", "act", string(act), "error", v.Result.Err)
	}
	v.count(form, ids)
	render(w, r, http.StatusOK, "act.html", v)
}

// count adds this step to those before, and fills the form of the next.
func (v *actView) count(form url.Values, ids []string) {
	told := func(name string) int {
		n, err := strconv.Atoi(form.Get(name))
		if err != nil || n < 0 || n > mostTold {
			return 0
		}
		return n
	}
	n, cursor := v.Result.Counts, v.Result.Next
	v.Done, v.Repeated, v.Left = told("done"), told("repeated"), told("left")
	v.Total, v.Wait = told("total"), v.Result.RetryAfter
	// A step that was postponed is done again, and then finds what it has done as
	// repeated. It is counted once it is through; until then begun carries it on.
	done, begun := v.Done, told("begun")+n[jobs.Done]
	v.Done += begun
	if v.Wait > 0 {
		cursor = form.Get("cursor")
	} else {
		v.Repeated += max(0, n[jobs.Repeated]-told("begun"))
		v.Left += n[jobs.Refused] + n[jobs.Missing]
		done, begun = v.Done, 0
	}
	if v.Total == 0 && v.Result.Total != nil {
		v.Total = *v.Result.Total
	}
	if len(ids) == 0 {
		v.take(form)
	} else {
		v.Fields = append(v.Fields, field{"act", string(v.Act)}, field{"back", v.Back})
	}
	for _, id := range ids {
		v.Fields = append(v.Fields, field{"id", id})
	}
	for name, n := range map[string]int{"done": done, "begun": begun, "repeated": v.Repeated, "left": v.Left, "total": v.Total} {
		v.Fields = append(v.Fields, field{name, strconv.Itoa(n)})
	}
	if cursor != "" {
		v.Fields = append(v.Fields, field{"cursor", cursor})
	}
}

func actOf(text string) (jobs.Act, bool) {
	switch a := jobs.Act(text); a {
	case jobs.ActRetry, jobs.ActCancel:
		return a, true
	}
	return "", false
}

func joined(states []job.State) string {
	text := ""
	for i, s := range states {
		if i > 0 {
			text += ","
		}
		text += string(s)
	}
	return text
}
