package simulator

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"
)

// find returns the job that the path names, or answers 404.
func (s *Simulator) find(w http.ResponseWriter, r *http.Request) *sweep {
	s.mu.Lock()
	j := s.jobs[r.PathValue("job_id")]
	s.mu.Unlock()
	if j == nil {
		s.refuse(w, http.StatusNotFound, "JOB_NOT_FOUND", "no such job")
	}
	return j
}

// minimalJob is the older, short status.
type minimalJob struct {
	Status string `json:"status"`
	RunID  string `json:"sweep_run_id,omitempty"`
	Error  string `json:"error_message,omitempty"`
}

func (s *Simulator) getJob(w http.ResponseWriter, r *http.Request) {
	j := s.find(w, r)
	if j == nil {
		return
	}
	s.mu.Lock()
	now := s.clock.Now()
	if !j.lastPoll.IsZero() && now.Sub(j.lastPoll) < time.Second {
		s.stats.FastPolls++
	}
	j.lastPoll = now
	a := s.answer(j)
	minimal := minimalJob{Status: j.status, Error: j.message}
	if j.status == completed {
		minimal.RunID = j.runID
	}
	s.mu.Unlock()
	if s.cfg.StatusDialect == StatusMinimal {
		writeJSON(w, http.StatusOK, minimal)
		return
	}
	writeJSON(w, http.StatusOK, a)
}

// maxListed is the jobs of one list at most.
const maxListed = 1000

// listJobs answers with the newest jobs first; ?status=, ?limit=1..1000 and
// ?offset= narrow the list.
func (s *Simulator) listJobs(w http.ResponseWriter, r *http.Request) {
	limit, ok := s.number(w, r, "limit", s.cfg.ListJobs, 1, maxListed)
	if !ok {
		return
	}
	offset, ok := s.number(w, r, "offset", 0, 0, math.MaxInt32)
	if !ok {
		return
	}
	if s.cfg.ListOnePage {
		offset = 0
	}
	limit = min(limit, s.cfg.ListJobs)
	status := r.URL.Query().Get("status")
	list := []jobAnswer{}
	s.mu.Lock()
	for i := len(s.order) - 1; i >= 0 && len(list) < limit; i-- {
		j := s.order[i]
		if status != "" && status != j.status {
			continue
		}
		if offset > 0 {
			offset--
			continue
		}
		list = append(list, s.answer(j))
	}
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, list)
}

// deleteJob cancels. Cancelling twice is the same as once; an ended job is 409.
func (s *Simulator) deleteJob(w http.ResponseWriter, r *http.Request) {
	j := s.find(w, r)
	if j == nil {
		return
	}
	s.end(j, cancelled, "")
	s.mu.Lock()
	status := j.status
	s.mu.Unlock()
	if status != cancelled {
		s.refuse(w, http.StatusConflict, "JOB_ENDED", "the job is already "+status)
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{
		"job_id": j.id, "status": cancelled, "message": "Job cancelled",
	})
}

// streamEvery is how often the stream tells the progress.
const streamEvery = 500 * time.Millisecond

// streamJob sends the progress as Server-Sent Events until the job ends: an
// event without a name for progress, then one named done or error.
func (s *Simulator) streamJob(w http.ResponseWriter, r *http.Request) {
	j := s.find(w, r)
	if j == nil {
		return
	}
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	last := -1
	for {
		s.mu.Lock()
		status, message, percent := j.status, j.message, j.progress(s.clock.Now(), s.cfg.Delay)
		s.mu.Unlock()
		ended := status == completed || status == failed || status == cancelled
		name := ""
		switch {
		case status == completed:
			name, message = "done", "Sweep completed"
		case ended:
			name = "error"
			if message == "" {
				message = "Sweep " + status
			}
		default:
			message = "Sweep " + status
		}
		if ended || percent != last {
			last = percent
			_ = out.SetWriteDeadline(time.Now().Add(10 * time.Second)) // not every writer has deadlines
			if writeEvent(w, name, percent, message) != nil || out.Flush() != nil {
				return
			}
		}
		if ended {
			return
		}
		tick, stop := s.clock.Timer(streamEvery)
		select {
		case <-tick:
		case <-j.ended:
		case <-r.Context().Done():
			stop()
			return
		case <-s.ctx.Done():
			stop()
			return
		}
		stop()
	}
}

func writeEvent(w http.ResponseWriter, name string, percent int, message string) error {
	data, err := json.Marshal(struct {
		Percent int    `json:"percent"`
		Message string `json:"message"`
	}{percent, message})
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	if name != "" {
		if _, err := fmt.Fprintf(w, "event: %s\n", name); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(w, "data: %s\n\n", data)
	return err
}

// number reads a query parameter within bounds, or answers 422.
func (s *Simulator) number(w http.ResponseWriter, r *http.Request, name string, fallback, low, high int) (int, bool) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return fallback, true
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		s.refuse(w, http.StatusUnprocessableEntity, "VALIDATION_ERROR",
			fmt.Sprintf("%s: must be an integer from %d to %d", name, low, high))
		return 0, false
	}
	return n, true
}
