package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/rfc3339"
	"github.com/zixly/sweepline/shared/seal"
)

const (
	// MaxDeadLetters is the most that one request lists or acts on.
	MaxDeadLetters = 500
	// maxDeadLetterPages bounds how far one request looks past others' letters.
	maxDeadLetterPages = 20
)

// owns reports whether a dead letter is the caller's: of its tenant, or, if the
// caller is an operator, of none or of a disputed one.
func (s *Service) owns(ctx context.Context, l broker.DeadLetter) bool {
	owner, _ := l.Event.Extensions()[event.ExtTenant].(string)
	mine := owner == auth.FromContext(ctx)
	if s.Operates(ctx) {
		return mine || owner == "" || disputed(owner, l.Event)
	}
	return mine && owner != "" && !disputed(owner, l.Event)
}

// disputed reports whether an event's data names another tenant than its
// extension, at the top, where our own events name theirs: it may be that one's
// data.
func disputed(owner string, e cloudevents.Event) bool {
	var data map[string]json.RawMessage
	if json.Unmarshal(e.Data(), &data) != nil {
		return false // no object: it names nobody
	}
	for name, value := range data {
		if !strings.EqualFold(name, "tenant_id") && !strings.EqualFold(name, event.ExtTenant) {
			continue
		}
		var named string
		if json.Unmarshal(value, &named) != nil || named != owner {
			return true
		}
	}
	return false
}

// DeadLetter is a dead letter as its owner sees it: the broker's inside, such
// as the address of a subscriber, is left out.
type DeadLetter struct {
	ID string `json:"id"`
	// Undone says in words what has not happened for it.
	Undone   string `json:"undone"`
	Trigger  string `json:"trigger"`
	Type     string `json:"type"`
	EventID  string `json:"event_id"`
	JobID    string `json:"job_id"`
	Attempts int    `json:"attempts"`
	// Cause names what it has in common with those that failed alike, see Causes.
	Cause  string            `json:"cause"`
	Code   int               `json:"code"`
	Reason string            `json:"reason"`
	Taken  bool              `json:"taken"`
	Time   time.Time         `json:"time"`
	Event  cloudevents.Event `json:"event"`
	// DataBytes is the size of the event's data where a list leaves it out.
	DataBytes int `json:"data_bytes,omitempty"`
}

// MarshalJSON writes its time as all answers do; the event stays as it was sent.
func (l DeadLetter) MarshalJSON() ([]byte, error) {
	type plain DeadLetter // without this method
	return json.Marshal(struct {
		plain

		Time rfc3339.Milli `json:"time"`
	}{plain(l), rfc3339.Milli(l.Time)})
}

const (
	// listedData is the most of an event's data that a list shows.
	listedData = 4 << 10
	// listedName is the most of one attribute, where the attributes are long.
	listedName = 256
	// looked is the most data that one request looks at for its list.
	looked = 64 << 20
)

// slim takes off a letter what a list does not show: large data, and attributes of a size
// that none of ours has. A page holds many. It returns the size of the data, where it
// was left out.
func slim(l *broker.DeadLetter) (left int) {
	e := l.Event
	size := len(e.ID()) + len(e.Source()) + len(e.Type()) + len(e.Subject()) + len(e.DataSchema()) + len(e.DataContentType())
	for name, value := range e.Extensions() {
		text, _ := value.(string)
		size += len(name) + len(text)
	}
	long := size > listedData
	if len(e.DataEncoded) <= listedData && !long {
		return 0
	}
	name := strings.Clone // attributes are parts of the text that the data came in
	if long {
		name = clip
	}
	short := cloudevents.New()
	short.SetID(name(e.ID()))
	short.SetSource(name(e.Source()))
	short.SetType(name(e.Type()))
	if subject := e.Subject(); subject != "" {
		short.SetSubject(name(subject))
	}
	if at := e.Time(); !at.IsZero() {
		short.SetTime(at)
	}
	for n, value := range e.Extensions() {
		if text, ok := value.(string); ok && (!long || n == event.ExtTenant) {
			short.SetExtension(strings.Clone(n), name(text))
		}
	}
	l.Event = short
	return len(e.DataEncoded)
}

func clip(s string) string {
	if len(s) <= listedName {
		return strings.Clone(s)
	}
	return strings.ToValidUTF8(s[:listedName], "") + "…"
}

func viewOf(l broker.DeadLetter) DeadLetter {
	return DeadLetter{
		ID: l.ID, Undone: undone(l), Trigger: l.Trigger, Type: l.Event.Type(), EventID: l.Event.ID(), JobID: l.Event.Subject(),
		Cause: causeOf(l), Attempts: l.Attempts, Code: l.Code, Reason: l.Reason, Taken: l.Taken, Time: l.Died.UTC(), Event: shown(l.Event),
	}
}

// shown is an event that can be written as JSON: data that says it is JSON and is
// not would spoil the whole list, so it goes as bytes. The seal is nobody's business: who
// has it can send the event again to whatever function they reach.
func shown(e cloudevents.Event) cloudevents.Event {
	e = e.Clone()
	e.SetExtension(seal.Extension, nil)
	if !e.DataBase64 && !json.Valid(e.Data()) {
		e.DataBase64 = true
	}
	return e
}

// OwnDeadLetters pages through all letters until it has limit of the caller's that f
// finds, the latest first; it may have fewer and yet a next page, where they are few among
// very many. cursor is the next of the page before, empty for the first one; a job.Invalid
// says that it is none. The letter where a page ends may be another tenant's, so
// that a cursor is sealed.
func (s *Service) OwnDeadLetters(ctx context.Context, f LetterFilter, limit int, cursor string) (own []DeadLetter, next string, err error) {
	q := broker.DeadLetterQuery{Trigger: f.Trigger, Limit: limit}
	if cursor != "" {
		if q.Before, err = s.cursors.open(ctx, cursor); err != nil {
			return nil, "", job.Invalid{{Field: "cursor", Message: err.Error()}}
		}
	}
	own, next, err = s.ownDeadLetters(ctx, q, f.Cause)
	return own, s.cursors.seal(ctx, next), err
}

func (s *Service) ownDeadLetters(ctx context.Context, q broker.DeadLetterQuery, cause string) (own []DeadLetter, next string, err error) {
	release, err := s.TakeRead(ctx, auth.FromContext(ctx))
	if err != nil {
		return nil, "", err
	}
	defer release()
	own = []DeadLetter{}
	left := map[string]int{} // the caller's letters by position, and how much data they have beyond what is shown
	size := 0
	q.Look = func(l *broker.DeadLetter) {
		size += len(l.Event.DataEncoded)
		if s.owns(ctx, *l) && (cause == "" || causeOf(*l) == cause) {
			left[l.Position] = slim(l)
			return
		}
		*l = broker.DeadLetter{Position: l.Position}
	}
	for range maxDeadLetterPages {
		page, next, err := s.DeadLetters.DeadLetters(ctx, q)
		if err != nil {
			return nil, "", fmt.Errorf("list dead letters: %w", err)
		}
		for _, l := range page {
			q.Before = l.Position
			n, mine := left[l.Position]
			if !mine {
				continue
			}
			v := viewOf(l)
			v.DataBytes = n
			if own = append(own, v); len(own) == q.Limit {
				return own, q.Before, nil
			}
		}
		if next == "" {
			return own, "", nil
		}
		q.Before = next
		if clear(left); size > looked {
			break
		}
	}
	return own, q.Before, nil
}

// What was done with a dead letter, as answers and the log say it.
const (
	Redriven  = "Dead letter redriven"
	Discarded = "Dead letter discarded"
)

// Redrive gives one of the caller's dead letters to its subscriber again; it is
// broker.ErrNotFound if the caller has no such letter. ended is how the letter's job
// has ended, where that makes its event too late to change anything.
func (s *Service) Redrive(ctx context.Context, id string) (ended job.State, err error) {
	return s.onOwn(ctx, id, Redriven, s.DeadLetters.Redrive)
}

// Discard forgets one of the caller's dead letters for good. Its results are those
// of Redrive.
func (s *Service) Discard(ctx context.Context, id string) (ended job.State, err error) {
	return s.onOwn(ctx, id, Discarded, s.DeadLetters.Discard)
}

func (s *Service) onOwn(ctx context.Context, id, done string, act func(ctx context.Context, id string) error) (ended job.State, err error) {
	l, err := s.DeadLetters.DeadLetter(ctx, id)
	if err != nil {
		return "", fmt.Errorf("read dead letter: %w", err)
	}
	if !s.owns(ctx, l) {
		return "", broker.ErrNotFound
	}
	ended = s.ended(ctx, l)
	if err := act(ctx, id); err != nil {
		return "", fmt.Errorf("act on dead letter: %w", err)
	}
	slog.InfoContext(ctx, "dead letter handled", "dead_letter", id, "event_id", l.Event.ID(), "act", done, "job_ended", ended != "")
	return ended, nil
}

// ended is how the job of a dead event has ended, for an event that would have
// brought the job on; empty for others, while the job is open, and where that
// cannot be told now. A terminal state never changes, so that such an event is
// taken and changes nothing.
func (s *Service) ended(ctx context.Context, l broker.DeadLetter) job.State {
	switch l.Event.Type() {
	case event.SweepRequested, event.SweepAdmitted, event.SweepSubmitted, event.SweepCompleted, event.SweepFailed:
	default:
		return ""
	}
	owner, _ := l.Event.Extensions()[event.ExtTenant].(string)
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	j, err := s.Store.Job(ctx, owner, l.Event.Subject())
	if err != nil || !j.Status.Terminal() {
		return ""
	}
	return j.Status
}
