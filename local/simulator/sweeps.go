package simulator

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

const (
	maxPage     = 500
	defaultPage = 100
	defaultBest = 10
	maxBest     = 100
)

type pageAnswer struct {
	RunID     string      `json:"sweep_run_id"`
	Total     int         `json:"total_count"`
	Returned  int         `json:"returned_count"`
	Offset    int         `json:"offset"`
	Limit     int         `json:"limit"`
	Source    string      `json:"data_source"`
	Synthetic bool        `json:"synthetic"`
	Data      *dataAnswer `json:"data,omitempty"`
	Results   []row       `json:"results"`
}

type bestAnswer struct {
	RunID     string      `json:"sweep_run_id"`
	Ticker    string      `json:"ticker"`
	RunDate   string      `json:"run_date"`
	Total     int         `json:"total_results"`
	Source    string      `json:"data_source"`
	Synthetic bool        `json:"synthetic"`
	Data      *dataAnswer `json:"data,omitempty"`
	Results   []row       `json:"results"`
}

// getResults pages through every combination of a completed sweep, best score
// first. The order never changes, so pages neither overlap nor leave a gap.
func (s *Simulator) getResults(w http.ResponseWriter, r *http.Request) {
	limit, ok := s.number(w, r, "limit", defaultPage, 1, maxPage)
	if !ok {
		return
	}
	offset, ok := s.number(w, r, "offset", 0, 0, math.MaxInt32)
	if !ok {
		return
	}
	j, rows := s.findRows(w, r)
	if j == nil {
		return
	}
	page := rows[min(offset, len(rows)):min(offset+limit, len(rows))]
	writeJSON(w, http.StatusOK, pageAnswer{
		RunID: j.runID, Total: len(rows), Returned: len(page), Offset: offset, Limit: limit,
		Source: j.source, Synthetic: j.synthetic, Data: j.data, Results: named(j.runID, page),
	})
}

// getBest answers with the best rows by score: ten, or ?limit=1..100.
func (s *Simulator) getBest(w http.ResponseWriter, r *http.Request) {
	limit, ok := s.number(w, r, "limit", defaultBest, 1, maxBest)
	if !ok {
		return
	}
	j, rows := s.findRows(w, r)
	if j == nil {
		return
	}
	best := rows[:min(limit, len(rows))]
	writeJSON(w, http.StatusOK, bestAnswer{
		RunID: j.runID, Ticker: j.req.Ticker, RunDate: stamp(j.completed, j.req.Form),
		Total: len(best), Source: j.source, Synthetic: j.synthetic, Data: j.data, Results: named(j.runID, best),
	})
}

// findRows returns the completed sweep that the path names with the rows of the
// ticker asked for, or answers with an error. A run id is known from the end of
// its sweep only.
func (s *Simulator) findRows(w http.ResponseWriter, r *http.Request) (*sweep, []row) {
	s.mu.Lock()
	j := s.runs[r.PathValue("run_id")]
	known := j != nil && j.status == completed
	s.mu.Unlock()
	if !known {
		s.refuse(w, http.StatusNotFound, "SWEEP_NOT_FOUND", "no such sweep")
		return nil, nil
	}
	rows, err := s.rows(r.Context(), j)
	if err != nil {
		s.log.ErrorContext(r.Context(), "computing results failed", "sweep_run_id", j.runID, "error", err)
		s.refuse(w, http.StatusInternalServerError, "INTERNAL_ERROR", "the results could not be read")
		return nil, nil
	}
	if t := r.URL.Query().Get("ticker"); t != "" && !strings.EqualFold(t, j.req.Ticker) {
		rows = nil
	}
	return j, rows
}

// named copies rows and gives each its id, which follows from the run and the
// parameters. It never returns nil.
func named(runID string, rows []row) []row {
	space := uuid.MustParse(runID)
	out := slices.Clone(rows)
	for i := range out {
		key := strconv.Itoa(out[i].Fast) + "/" + strconv.Itoa(out[i].Slow)
		out[i].ResultID = uuid.NewSHA1(space, []byte(key)).String()
	}
	if out == nil {
		out = []row{}
	}
	return out
}
