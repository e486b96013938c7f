package jobs

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/rfc3339"
)

// Mux takes the handlers of addresses: http.ServeMux.
type Mux interface {
	Handle(pattern string, h http.Handler)
}

// Linked adds the addresses that pages link to and listen at. They are the API's; a
// dashboard on a host of its own has them as well, since its pages speak to no other
// host (Content-Security-Policy, SameSite).
func (s *Service) Linked(mux Mux) {
	handle := func(pattern string, h http.HandlerFunc, query ...string) {
		mux.Handle(pattern, s.Require(Query(h, query...), Refuse))
	}
	handle("GET /api/jobs/{id}/events", OfJob(s.getTimeline))
	handle("GET /api/jobs/{id}/stream", OfJob(s.stream))
	handle("GET /api/jobs/{id}/results", Compressed(OfJob(s.getResults)), append([]string{"format"}, ResultParameters...)...)
	handle("GET /api/jobs/{id}/results.csv", Compressed(OfJob(s.getResultsCSV)), ResultParameters...)
	handle("GET /api/jobs/{id}/surface", Compressed(OfJob(s.getSurface)))
	handle("GET /api/stream", s.streamOverview)
	mux.Handle("GET /api/ping", Query(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	if s.DeadLetters != nil {
		handle("GET /api/dead-letters/{id}", s.getDeadLetter)
	}
}

func (s *Service) getTimeline(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	events, err := s.Timeline(r.Context(), id)
	if err != nil {
		AnswerMissing(w, err)
		return
	}
	shown := make([]timelineEvent, len(events))
	for i, e := range events {
		shown[i] = timelineEvent{e, rfc3339.Milli(e.Time)}
	}
	function.WriteJSON(w, http.StatusOK, struct {
		JobID  string          `json:"job_id"`
		Events []timelineEvent `json:"events"`
	}{id, shown})
}

// timelineEvent is an event as answers show it.
type timelineEvent struct {
	job.TimelineEvent

	Time rfc3339.Milli `json:"time"`
}

// getDeadLetter answers one whole letter.
func (s *Service) getDeadLetter(w http.ResponseWriter, r *http.Request) {
	l, err := s.DeadLetters.DeadLetter(r.Context(), r.PathValue("id"))
	switch {
	case errors.Is(err, broker.ErrNotFound), err == nil && !s.owns(r.Context(), l):
		function.WriteNotFound(w, "dead letter")
	case err != nil:
		slog.WarnContext(r.Context(), "dead letter not read", "error", err)
		function.WriteUnavailable(w, err)
	default:
		function.WriteJSON(w, http.StatusOK, viewOf(l))
	}
}
