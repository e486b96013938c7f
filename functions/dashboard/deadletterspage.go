package dashboard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs"
)

const (
	// deadLettersPerPage is how many dead letters a page shows.
	deadLettersPerPage = 50
	// mostLetters and letterTime bound what one press of a button is for: what is left
	// is told, and takes another press.
	mostLetters = jobs.MaxDeadLetters
	letterTime  = 15 * time.Second
	// shownCauses is how many groups a page lists.
	shownCauses = 20
)

type deadLettersPageView struct {
	view
	DeadLetters []deadLetter
	// Causes are the groups of letters that failed alike; nil where they are not known.
	Causes []causeView
	// MoreCauses are left out, Complete is false where not all letters were looked at.
	MoreCauses int
	Complete   bool
	Triggers   []string
	// Filter narrows the list; Filtered says that it does.
	Filter      jobs.LetterFilter
	Filtered    bool
	Next, First string
	Done        string
}

// causeView is a group with the link to its letters.
type causeView struct {
	jobs.Cause
	Href    string
	Current bool
}

// lettersLink is the list with these filters, and more parameters.
func lettersLink(f jobs.LetterFilter, more url.Values) string {
	v := url.Values{}
	for name, values := range more {
		v[name] = values
	}
	for name, text := range map[string]string{"trigger": f.Trigger, "cause": f.Cause} {
		if text != "" {
			v.Set(name, text)
		}
	}
	if len(v) == 0 {
		return "/dead-letters"
	}
	return "/dead-letters?" + v.Encode()
}

func (f *Function) deadLettersPage(w http.ResponseWriter, r *http.Request) {
	v := deadLettersPageView{view: f.view(r), Done: deadLettersDone(r.URL.Query())}
	by, _, err := jobs.ParseLetterFilter(r.URL.Query(), jobs.MaxDeadLetters)
	if err != nil {
		f.problem(w, r, http.StatusBadRequest, "These filters make no sense", err.Error())
		return
	}
	v.Filter, v.Filtered = by, by != jobs.LetterFilter{}
	cursor := r.URL.Query().Get("cursor")
	if cursor != "" {
		v.First = lettersLink(by, nil)
	}
	own, next, err := f.jobs.OwnDeadLetters(r.Context(), by, deadLettersPerPage, cursor)
	var invalid job.Invalid
	if errors.As(err, &invalid) {
		f.problem(w, r, http.StatusBadRequest, "There is no such page", "The link is damaged. Start from the first page.")
		return
	}
	if err != nil {
		f.problemOf(w, r, err)
		return
	}
	for _, l := range own {
		v.DeadLetters = append(v.DeadLetters, deadLetter{l})
	}
	if next != "" {
		v.Next = lettersLink(by, url.Values{"cursor": {next}})
	}
	if len(own) > 0 || v.Filtered {
		f.addCauses(r.Context(), &v)
	}
	render(w, r, http.StatusOK, "deadletters.html", v)
}

// addCauses leaves out groups that cannot be read: the letters can be.
func (f *Function) addCauses(ctx context.Context, v *deadLettersPageView) {
	found, err := f.jobs.Causes(ctx, "")
	if err != nil {
		slog.WarnContext(ctx, "grouping dead letters failed", "error", err)
		return
	}
	v.Triggers, v.Complete = found.Triggers, found.Complete
	for _, c := range found.Causes {
		if v.Filter.Trigger != "" && c.Trigger != v.Filter.Trigger {
			continue
		}
		if len(v.Causes) == shownCauses {
			v.MoreCauses++
			continue
		}
		v.Causes = append(v.Causes, causeView{c, lettersLink(jobs.LetterFilter{Trigger: c.Trigger, Cause: c.Cause}, nil), c.Cause == v.Filter.Cause})
	}
}

// actOnDeadLetters takes the page's forms: a button of one row names its letter, the
// buttons above the list mean all that are ticked, those of a group all that are in it.
func (f *Function) actOnDeadLetters(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		f.problem(w, r, http.StatusBadRequest, "That was not understood", "The form is damaged. Nothing was changed.")
		return
	}
	ids, act := r.PostForm["id"], jobs.LetterAct(r.PostForm.Get("act"))
	for _, one := range []jobs.LetterAct{jobs.ActRedrive, jobs.ActDiscard} {
		if id := r.PostForm.Get(string(one)); id != "" {
			ids, act = []string{id}, one
		}
	}
	if act != jobs.ActRedrive && act != jobs.ActDiscard {
		f.problem(w, r, http.StatusBadRequest, "That was not understood", "The form names no act. Nothing was changed.")
		return
	}
	var t letterTally
	var err error
	group := url.Values{}
	for _, name := range []string{"trigger", "cause", "all"} {
		if text := r.PostForm.Get(name); text != "" {
			group.Set(name, text)
		}
	}
	if len(group) > 0 && len(ids) == 0 {
		err = f.actOnGroup(r.Context(), act, group, &t)
	} else {
		for part := range slices.Chunk(ids[:min(len(ids), mostLetters)], jobs.MaxBulk) {
			var b jobs.BulkLetters
			if b, err = jobs.ParseBulkLetters(act, nil, part); err != nil {
				break
			}
			var got jobs.BulkLettersResult
			if got, err = f.jobs.ManyLetters(r.Context(), b); err != nil {
				break
			}
			t.add(got)
		}
	}
	var invalid job.Invalid
	switch {
	case errors.As(err, &invalid):
		f.problem(w, r, http.StatusBadRequest, "That was not understood", "Nothing was changed: "+err.Error()+".")
		return
	case err != nil && t == letterTally{}:
		f.problemOf(w, r, err)
		return
	case err != nil:
		slog.WarnContext(r.Context(), "handling dead letters failed", "error", err)
		t.more = true
	}
	by, _, err := jobs.ParseLetterFilter(url.Values{"trigger": r.PostForm["in_trigger"], "cause": r.PostForm["in_cause"]}, mostLetters)
	if err != nil {
		by = jobs.LetterFilter{}
	}
	http.Redirect(w, r, lettersLink(by, t.values(act)), http.StatusSeeOther)
}

// actOnGroup goes through the letters of a group, as far as one press of a button may.
func (f *Function) actOnGroup(ctx context.Context, act jobs.LetterAct, group url.Values, t *letterTally) error {
	until := f.jobs.Now().Add(letterTime)
	for {
		b, err := jobs.ParseBulkLetters(act, group, nil)
		if err != nil {
			return err
		}
		got, err := f.jobs.ManyLetters(ctx, b)
		if err != nil {
			return err
		}
		t.add(got)
		switch {
		case got.Next == "" || t.kept > 0:
			return nil
		case t.done+t.gone >= mostLetters || f.jobs.Now().After(until):
			t.more = true
			return nil
		}
		group.Set("cursor", got.Next)
	}
}

// letterTally counts what became of dead letters: done, of which late for jobs that have
// ended; gone before; kept, since the store did not answer.
type letterTally struct {
	done, late, gone, kept int
	// more: not all were come to.
	more bool
}

func (t *letterTally) add(r jobs.BulkLettersResult) {
	t.done, t.gone, t.kept = t.done+r.Counts[jobs.Done], t.gone+r.Counts[jobs.Missing], t.kept+r.Counts[jobs.Postponed]
	for _, one := range r.Letters {
		if one.JobStatus != "" {
			t.late++
		}
	}
}

// values tell the next page of it.
func (t *letterTally) values(act jobs.LetterAct) url.Values {
	v := url.Values{"did": {string(act)}, "n": {strconv.Itoa(t.done)}}
	for name, n := range map[string]int{"gone": t.gone, "late": t.late, "kept": t.kept} {
		if n > 0 {
			v.Set(name, strconv.Itoa(n))
		}
	}
	if t.more {
		v.Set("more", "1")
	}
	return v
}

// deadLettersDone says what the last act did.
func deadLettersDone(v url.Values) string {
	word := map[string]string{"redrive": "sent again", "discard": "discarded"}[v.Get("did")]
	n, err := strconv.Atoi(v.Get("n"))
	if word == "" || err != nil || n < 0 {
		return ""
	}
	told := func(name string) int {
		n, err := strconv.Atoi(v.Get(name))
		return max(0, map[bool]int{true: n}[err == nil])
	}
	late, gone, kept := told("late"), told("gone"), told("kept")
	text := fmt.Sprintf("%s %s.", plural(n, "event was", "events were"), word)
	switch {
	case n == 0 && gone > 0:
		text = "Nothing was changed: what was chosen is not there any more."
	case n == 0 && kept == 0:
		text = "Nothing was ticked, so nothing was changed."
	case gone > 0:
		text = fmt.Sprintf("%s %s not there any more.", text, plural(gone, "was", "were"))
	}
	if n > 0 && v.Get("did") == "redrive" {
		text += " Those that fail again come back here."
	}
	if late > 0 {
		text = fmt.Sprintf("%s For %s that changes nothing: the job has ended. Retry the job to run its sweep again.", text,
			map[bool]string{true: "it", false: fmt.Sprintf("%d of them", late)}[n == 1])
	}
	if kept > 0 {
		text = fmt.Sprintf("%s %s not: the store did not answer. What is left is still listed; try again in a moment.", text, plural(kept, "was", "were"))
	}
	if v.Get("more") != "" {
		text += " There are more: press again to go on."
	}
	return text
}

// deadLetter is one as the page shows it.
type deadLetter struct{ jobs.DeadLetter }

// Said is the reason as its subscriber said it.
func (l deadLetter) Said() string { return jobs.Said(l.Reason) }
