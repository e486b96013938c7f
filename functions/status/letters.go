package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
)

const (
	defaultLetters = 100
	maxLetters     = 500
	// maxLetterPages bounds how far one request looks past others' letters.
	maxLetterPages = 20
)

// owns reports whether a dead letter is the caller's: of its tenant, or of none
// if the caller is an operator.
func (f *Function) owns(ctx context.Context, l broker.DeadLetter) bool {
	owner, _ := l.Event.Extensions()[event.ExtTenant].(string)
	if owner == "" {
		return f.operates(ctx)
	}
	return owner == auth.FromContext(ctx)
}

func (f *Function) listLetters(w http.ResponseWriter, r *http.Request) {
	limit := defaultLetters
	if text := r.URL.Query().Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxLetters {
			answerBadQuery(w, job.Invalid{{Field: "limit", Message: "must be 1 to " + strconv.Itoa(maxLetters)}})
			return
		}
		limit = n
	}
	q := broker.DeadLetterQuery{Trigger: r.URL.Query().Get("trigger"), Limit: limit}
	if text := r.URL.Query().Get("cursor"); text != "" {
		if !broker.ValidPosition(text) {
			answerBadQuery(w, job.Invalid{{Field: "cursor", Message: "is not one that this list gave"}})
			return
		}
		q.Before = text
	}
	own, next, err := f.ownLetters(r.Context(), q)
	if err != nil {
		slog.WarnContext(r.Context(), "Dead letters not listed", "error", err)
		function.WriteUnavailable(w, err)
		return
	}
	function.WriteJSON(w, http.StatusOK, struct {
		Letters []letterView `json:"dead_letters"`
		Next    string       `json:"next_cursor,omitempty"`
	}{own, next})
}

// letterView is a dead letter as its owner sees it: the broker's inside, such
// as the address of a subscriber, is left out.
type letterView struct {
	ID       string            `json:"id"`
	Trigger  string            `json:"trigger"`
	Type     string            `json:"type"`
	EventID  string            `json:"event_id"`
	JobID    string            `json:"job_id"`
	Attempts int               `json:"attempts"`
	Code     int               `json:"code"`
	Reason   string            `json:"reason"`
	Taken    bool              `json:"taken"`
	Time     time.Time         `json:"time"`
	Event    cloudevents.Event `json:"event"`
	// DataBytes is the size of the event's data where a list leaves it out.
	DataBytes int `json:"data_bytes,omitempty"`
}

// listedData is the most of an event's data that a list shows.
const listedData = 4 << 10

// listed is viewOf without large data: a page holds many.
func listed(l broker.DeadLetter) letterView {
	v := viewOf(l)
	if n := len(l.Event.DataEncoded); n > listedData {
		v.DataBytes = n
		v.Event.DataEncoded = nil
	}
	return v
}

func viewOf(l broker.DeadLetter) letterView {
	return letterView{
		ID: l.ID, Trigger: l.Trigger, Type: l.Event.Type(), EventID: l.Event.ID(), JobID: l.Event.Subject(),
		Attempts: l.Attempts, Code: l.Code, Reason: l.Reason, Taken: l.Taken, Time: l.Died.UTC(), Event: shown(l.Event),
	}
}

// shown is an event that can be written as JSON: data that says it is JSON and is
// not would spoil the whole list, so it goes as bytes.
func shown(e cloudevents.Event) cloudevents.Event {
	if !e.DataBase64 && !json.Valid(e.Data()) {
		e = e.Clone()
		e.DataBase64 = true
	}
	return e
}

// ownLetters pages through all letters until it has q.Limit of the caller's.
func (f *Function) ownLetters(ctx context.Context, q broker.DeadLetterQuery) (own []letterView, next string, err error) {
	own = []letterView{}
	for range maxLetterPages {
		page, err := f.Letters.DeadLetters(ctx, q)
		if err != nil {
			return nil, "", fmt.Errorf("list dead letters: %w", err)
		}
		for _, l := range page {
			if f.owns(ctx, l) {
				own = append(own, listed(l))
			}
			q.Before = l.Position
			if len(own) == q.Limit {
				return own, q.Before, nil
			}
		}
		if len(page) < q.Limit {
			return own, "", nil
		}
	}
	return own, q.Before, nil
}

// showLetter answers one whole letter.
func (f *Function) showLetter(w http.ResponseWriter, r *http.Request) {
	l, err := f.Letters.DeadLetter(r.Context(), r.PathValue("id"))
	switch {
	case errors.Is(err, broker.ErrNotFound), err == nil && !f.owns(r.Context(), l):
		function.WriteError(w, http.StatusNotFound, function.CodeNotFound, "no such dead letter")
	case err != nil:
		slog.WarnContext(r.Context(), "dead letter not read", "error", err)
		function.WriteUnavailable(w, err)
	default:
		function.WriteJSON(w, http.StatusOK, viewOf(l))
	}
}

func (f *Function) redrive(w http.ResponseWriter, r *http.Request) {
	f.onLetter(w, r, "Dead letter redriven", http.StatusAccepted, f.Letters.Redrive)
}

func (f *Function) discard(w http.ResponseWriter, r *http.Request) {
	f.onLetter(w, r, "Dead letter discarded", http.StatusOK, f.Letters.Discard)
}

func (f *Function) onLetter(w http.ResponseWriter, r *http.Request, done string, status int, act letterAct) {
	id := r.PathValue("id")
	over, err := f.onOwnLetter(r.Context(), id, done, act)
	switch {
	case errors.Is(err, broker.ErrNotFound):
		function.WriteError(w, http.StatusNotFound, function.CodeNotFound, "no such dead letter")
	case err != nil:
		slog.WarnContext(r.Context(), "Dead letter not handled", "dead_letter", id, "error", err)
		function.WriteUnavailable(w, err)
	case over != "" && status == http.StatusAccepted:
		function.WriteJSON(w, status, map[string]string{"id": id, "job_status": string(over),
			"message": done + ", which changes nothing: its job has ended as " + string(over) + ". To run the sweep again, retry the job"})
	default:
		function.WriteJSON(w, status, map[string]string{"id": id, "message": done})
	}
}

// letterAct is what can be done with a dead letter.
type letterAct func(ctx context.Context, id string) error

// onOwnLetter acts on a letter if it is the caller's; it is broker.ErrNotFound
// if not. over is how the letter's job has ended, where that makes its event too
// late to change anything.
func (f *Function) onOwnLetter(ctx context.Context, id, done string, act letterAct) (over job.State, err error) {
	l, err := f.Letters.DeadLetter(ctx, id)
	if err != nil {
		return "", fmt.Errorf("read dead letter: %w", err)
	}
	if !f.owns(ctx, l) {
		return "", broker.ErrNotFound
	}
	over = f.over(ctx, l)
	if err := act(ctx, id); err != nil {
		return "", fmt.Errorf("act on dead letter: %w", err)
	}
	slog.InfoContext(ctx, "Dead letter handled", "dead_letter", id, "event_id", l.Event.ID(), "act", done, "job_ended", over != "")
	return over, nil
}

// over is how the job of a dead event has ended, for an event that would have
// brought the job on; empty for others, while the job is open, and where that
// cannot be told now. A terminal state never changes, so that such an event is
// taken and changes nothing.
func (f *Function) over(ctx context.Context, l broker.DeadLetter) job.State {
	switch l.Event.Type() {
	case event.SweepRequested, event.SweepAdmitted, event.SweepSubmitted, event.SweepCompleted, event.SweepFailed:
	default:
		return ""
	}
	owner, _ := l.Event.Extensions()[event.ExtTenant].(string)
	ctx, cancel := context.WithTimeout(ctx, jobStorePatience)
	defer cancel()
	j, err := f.Jobs.Job(ctx, owner, l.Event.Subject())
	if err != nil || !j.Status.Terminal() {
		return ""
	}
	return j.Status
}
