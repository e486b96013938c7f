package simulator

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Version is what /health reports.
const Version = "1.0.0-simulator"

// Handler serves the API. It may be called more than once.
func (s *Simulator) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", s.health)
	for _, route := range []struct {
		pattern string
		handle  http.HandlerFunc
	}{
		{"POST /api/v1/strategy/sweep", s.postSweep},
		{"GET /api/v1/jobs/{$}", s.listJobs},
		{"GET /api/v1/jobs", s.listJobs},
		{"GET /api/v1/jobs/{job_id}", s.getJob},
		{"DELETE /api/v1/jobs/{job_id}", s.deleteJob},
		{"GET /api/v1/jobs/{job_id}/stream", s.streamJob},
		{"GET /api/v1/sweeps/{run_id}", s.getResults},
		{"GET /api/v1/sweeps/{run_id}/best", s.getBest},
	} {
		mux.Handle(route.pattern, s.guard(route.handle))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.isDown() {
			s.refuseAfter(w, http.StatusServiceUnavailable, "SERVICE_UNAVAILABLE", "the service is down", time.Second)
			return
		}
		if _, pattern := mux.Handler(r); pattern == "" {
			s.noRoute(w, r, mux)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// noRoute answers in JSON where the mux would answer in plain text.
func (s *Simulator) noRoute(w http.ResponseWriter, r *http.Request, mux *http.ServeMux) {
	var plain plainAnswer
	mux.ServeHTTP(&plain, r)
	if plain.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", plain.Header().Get("Allow"))
		s.refuse(w, http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "method not allowed, use "+plain.Header().Get("Allow"))
		return
	}
	s.refuse(w, http.StatusNotFound, "NOT_FOUND", "no such path")
}

// plainAnswer catches the status and headers of an answer.
type plainAnswer struct {
	header http.Header
	status int
}

func (p *plainAnswer) Header() http.Header {
	if p.header == nil {
		p.header = http.Header{}
	}
	return p.header
}
func (p *plainAnswer) Write(b []byte) (int, error) { return len(b), nil }
func (p *plainAnswer) WriteHeader(status int)      { p.status = status }

// guard counts a call, checks its key and applies limits and planned refusals.
func (s *Simulator) guard(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.stats.Requests++
		var planned *refusal
		if len(s.refusals) > 0 {
			planned = &s.refusals[0]
			s.refusals = s.refusals[1:]
		}
		s.mu.Unlock()

		key := r.Header.Get("X-API-Key")
		if subtle.ConstantTimeCompare([]byte(key), []byte(s.cfg.APIKey)) != 1 {
			s.refuse(w, http.StatusUnauthorized, "INVALID_API_KEY", "X-API-Key is missing or wrong")
			return
		}
		if s.limiter != nil && !s.limiter.AllowN(s.clock.Now(), 1) {
			s.count(func(st *Stats) { st.Throttled++ })
			wait := time.Minute / time.Duration(s.cfg.RequestsPerMinute)
			s.refuseAfter(w, http.StatusTooManyRequests, "RATE_LIMITED",
				fmt.Sprintf("more than %d requests a minute", s.cfg.RequestsPerMinute), wait)
			return
		}
		if planned != nil {
			s.refuseAfter(w, planned.status, "PLANNED_REFUSAL", "refused on purpose", planned.retryAfter)
			return
		}
		next(w, r)
	})
}

func (s *Simulator) isDown() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.down
}

func (s *Simulator) health(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{
		"status": "healthy", "version": Version, "timestamp": stamp(s.clock.Now(), false),
	})
}

// newerAccepted and olderAccepted are the answers to a submission.
type newerAccepted struct {
	JobID      string     `json:"job_id"`
	Status     string     `json:"status"`
	Message    string     `json:"message"`
	Parameters parameters `json:"parameters"`
	Estimate   int        `json:"estimated_duration_seconds"`
	WebhookURL string     `json:"webhook_url,omitempty"`
	CreatedAt  string     `json:"created_at"`
}

type olderAccepted struct {
	JobID     string `json:"job_id"`
	Status    string `json:"status"`
	CreatedAt string `json:"created_at"`
	StreamURL string `json:"stream_url"`
	StatusURL string `json:"status_url"`
}

func (s *Simulator) postSweep(w http.ResponseWriter, r *http.Request) {
	req, err := readRequest(w, r)
	var invalid *invalidError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &invalid):
		s.refuse(w, http.StatusUnprocessableEntity, "VALIDATION_ERROR", invalid.Error())
		return
	case errors.As(err, &tooLarge):
		s.refuse(w, http.StatusRequestEntityTooLarge, "BODY_TOO_LARGE", "the body is too large")
		return
	case err != nil:
		s.refuse(w, http.StatusBadRequest, "BAD_REQUEST", "the body could not be read")
		return
	}
	j, err := s.submit(req)
	switch {
	case errors.Is(err, errBusy):
		s.refuseAfter(w, http.StatusTooManyRequests, "TOO_MANY_SWEEPS", err.Error(), max(s.cfg.Delay, time.Second))
		return
	case err != nil:
		s.refuseAfter(w, http.StatusServiceUnavailable, "SERVICE_UNAVAILABLE", err.Error(), time.Second)
		return
	}
	if j.faults.loseAnswer {
		panic(http.ErrAbortHandler) // net/http cuts the connection without an answer
	}
	if req.Form {
		path := "/api/v1/jobs/" + j.id
		writeJSON(w, http.StatusOK, olderAccepted{
			JobID: j.id, Status: pending, CreatedAt: stamp(j.created, true),
			StreamURL: path + "/stream", StatusURL: path,
		})
		return
	}
	s.mu.Lock()
	estimate := s.estimate(j)
	s.mu.Unlock()
	writeJSON(w, http.StatusAccepted, newerAccepted{
		JobID: j.id, Status: "queued", Message: "Parameter sweep queued for execution",
		Parameters: j.parameters(), Estimate: estimate, WebhookURL: req.WebhookURL,
		CreatedAt: stamp(j.created, false),
	})
}
