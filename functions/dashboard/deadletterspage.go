package dashboard

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"

	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs"
)

// deadLettersPerPage is how many dead letters a page shows.
const deadLettersPerPage = 50

type deadLettersPageView struct {
	view
	DeadLetters []deadLetter
	Next, First string
	Done        string
}

func (f *Function) deadLettersPage(w http.ResponseWriter, r *http.Request) {
	v := deadLettersPageView{view: f.view(r), Done: deadLettersDone(r.URL.Query())}
	q := broker.DeadLetterQuery{Limit: deadLettersPerPage}
	cursor := r.URL.Query().Get("cursor")
	if cursor != "" {
		v.First = "/dead-letters"
	}
	own, next, err := f.jobs.OwnDeadLetters(r.Context(), q, cursor)
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
		v.Next = "/dead-letters?" + url.Values{"cursor": {next}}.Encode()
	}
	render(w, r, http.StatusOK, "deadletters.html", v)
}

// actOnDeadLetters takes the page's form: a button of one row names its letter, the
// buttons above the list mean all that are ticked.
func (f *Function) actOnDeadLetters(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		f.problem(w, r, http.StatusBadRequest, "That was not understood", "The form is damaged. Nothing was changed.")
		return
	}
	ids, word := r.PostForm["id"], r.PostForm.Get("act")
	for _, one := range []string{"redrive", "discard"} {
		if id := r.PostForm.Get(one); id != "" {
			ids, word = []string{id}, one
		}
	}
	act := f.jobs.Redrive
	if word == "discard" {
		act = f.jobs.Discard
	} else if word != "redrive" {
		f.problem(w, r, http.StatusBadRequest, "That was not understood", "The form names no act. Nothing was changed.")
		return
	}
	n, gone, late := 0, 0, 0
	for _, id := range ids[:min(len(ids), jobs.MaxDeadLetters)] {
		ended, err := act(r.Context(), id)
		switch {
		case errors.Is(err, broker.ErrNotFound):
			gone++
		case err != nil:
			slog.WarnContext(r.Context(), "Dead letter not handled", "dead_letter", id, "error", err)
			f.problem(w, r, http.StatusServiceUnavailable, "Not all was done",
				fmt.Sprintf("After %d of %d the store did not answer. Those left are still listed; try again in a moment.", n, len(ids)))
			return
		default:
			n++
			if ended != "" && word == "redrive" {
				late++
			}
		}
	}
	v := url.Values{"did": {word}, "n": {strconv.Itoa(n)}}
	if gone > 0 {
		v.Set("gone", strconv.Itoa(gone))
	}
	if late > 0 {
		v.Set("late", strconv.Itoa(late))
	}
	http.Redirect(w, r, "/dead-letters?"+v.Encode(), http.StatusSeeOther)
}

// deadLettersDone says what the last act did.
func deadLettersDone(v url.Values) string {
	word := map[string]string{"redrive": "sent again", "discard": "discarded"}[v.Get("did")]
	n, err := strconv.Atoi(v.Get("n"))
	if word == "" || err != nil || n < 0 {
		return ""
	}
	text := fmt.Sprintf("%s %s.", plural(n, "event was", "events were"), word)
	if n == 0 {
		text = "Nothing was ticked, so nothing was changed."
	}
	if late, err := strconv.Atoi(v.Get("late")); err == nil && late > 0 {
		text = fmt.Sprintf("%s For %s that changes nothing: the job has ended. Retry the job to run its sweep again.", text,
			map[bool]string{true: "it", false: fmt.Sprintf("%d of them", late)}[n == 1])
	}
	if gone, err := strconv.Atoi(v.Get("gone")); err == nil && gone > 0 {
		text = fmt.Sprintf("%s %s not there any more.", text, plural(gone, "was", "were"))
		if n == 0 {
			text = "Nothing was changed: what was chosen is not there any more."
		}
	}
	return text
}

// deadLetter is one as the page shows it.
type deadLetter struct{ jobs.DeadLetter }

// Said is the reason as its subscriber said it: our own steps answer with JSON.
func (l deadLetter) Said() string { return said(l.Reason) }

func said(reason string) string {
	var body struct {
		Error string `json:"error"`
	}
	if json.Unmarshal([]byte(reason), &body) == nil && body.Error != "" {
		return body.Error
	}
	return reason
}
