package jobs

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/job"
)

// subscriber is one browser and what it has seen of a job.
type subscriber struct {
	out *eventWriter
	// last is the mark of the newest event it has.
	last   int
	status job.State
	place  int
}

// update is the data of status and progress events.
type update struct {
	JobID  string    `json:"job_id"`
	Status job.State `json:"status,omitempty"`
	// DisplayStatus is as in Found, there where Status is.
	DisplayStatus job.State `json:"display_status,omitempty"`
	Progress      int       `json:"progress"`
	Place         int       `json:"place,omitempty"`
}

// updateOf says where a job is.
func updateOf(j Found) update {
	return update{JobID: j.JobID, Status: j.Status, DisplayStatus: j.DisplayStatus, Progress: j.Progress, Place: j.Place}
}

// show sends what is new in j.
func (s *subscriber) show(j Found) error {
	now := mark(j)
	changed := now > s.last && j.Status != s.status || j.Status == job.Queued && j.Place != s.place && now >= s.last
	switch {
	case changed:
		if err := s.out.send("status", now, updateOf(j)); err != nil {
			return err
		}
	case now > s.last:
		if err := s.out.send("progress", now, update{JobID: j.JobID, Progress: j.Progress}); err != nil {
			return err
		}
	}
	s.status, s.place, s.last = j.Status, j.Place, max(s.last, now)
	if j.Settled {
		return s.out.send("result", markResult, j)
	}
	return nil
}

// eventWriter writes Server-Sent Events, each with a deadline of its own: the
// server's would end every stream after some minutes.
type eventWriter struct {
	w  http.ResponseWriter
	rc *http.ResponseController
	// may is an error once its reader may not read on.
	may func() error
}

// newEventWriter answers r, for as long as who asks is who he was: a stream ends with
// its session.
func (s *Service) newEventWriter(w http.ResponseWriter, r *http.Request) *eventWriter {
	return &eventWriter{w: w, rc: http.NewResponseController(w), may: func() error {
		if _, err := s.Sessions.Identify(r); errors.Is(err, auth.ErrKey) {
			return err
		}
		return nil
	}}
}

// open sends the header.
func (e *eventWriter) open() error {
	h := e.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // proxies must pass each event on at once
	e.w.WriteHeader(http.StatusOK)
	return e.write(fmt.Sprintf("retry: %d\n\n", reconnect.Milliseconds()))
}

func (e *eventWriter) send(event string, id int, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("encode %s: %w", event, err)
	}
	return e.write(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", id, event, text))
}

// comment keeps the connection in use, if its reader still may.
func (e *eventWriter) comment() error {
	if err := e.may(); err != nil {
		return err
	}
	return e.write(": alive\n\n")
}

func (e *eventWriter) write(text string) error {
	// Not every writer has deadlines (tests' recorders have none).
	_ = e.rc.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := e.w.Write([]byte(text)); err != nil {
		return fmt.Errorf("write event: %w", err)
	}
	if err := e.rc.Flush(); err != nil {
		return fmt.Errorf("flush event: %w", err)
	}
	return nil
}

// patientWriter gives each write of a long answer a time of its own, so that a client
// which reads nothing does not hold what the answer is made with.
type patientWriter struct {
	http.ResponseWriter

	rc *http.ResponseController
}

func newPatientWriter(w http.ResponseWriter) patientWriter {
	return patientWriter{w, http.NewResponseController(w)}
}

// Unwrap lets http.ResponseController through.
func (p patientWriter) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func (p patientWriter) Write(b []byte) (int, error) {
	_ = p.rc.SetWriteDeadline(time.Now().Add(writeTimeout)) // tests' recorders have none
	return p.ResponseWriter.Write(b)
}
