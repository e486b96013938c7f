package store

import (
	"slices"
	"sync"

	"github.com/zixly/sweepline/shared/job"
)

// keptRows bounds the memory for interrupted fetches: two of the largest sweeps.
const keptRows = maxRows

// part is what there is of a sweep's rows.
type part struct {
	runID string
	// seen counts the rows that were read, those dropped included.
	seen int
	rows []job.Row
}

// parts keeps what interrupted fetches got, in this process only: another one
// begins anew. The zero value is empty.
type parts struct {
	mu    sync.Mutex
	jobs  map[string]part
	order []string // of jobs, the one kept last at the end
	seen  int
}

// take gives what there is of a run's rows and forgets it. Two deliveries at
// once so never share any.
func (p *parts) take(jobID, runID string) part {
	p.mu.Lock()
	defer p.mu.Unlock()
	got := p.jobs[jobID]
	p.drop(jobID)
	if got.runID != runID {
		return part{runID: runID}
	}
	return got
}

// keep makes room by dropping the oldest.
func (p *parts) keep(jobID string, got part) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(jobID)
	if got.seen == 0 || got.seen > keptRows {
		return
	}
	for p.seen+got.seen > keptRows {
		p.drop(p.order[0])
	}
	if p.jobs == nil {
		p.jobs = map[string]part{}
	}
	p.jobs[jobID] = got
	p.order = append(p.order, jobID)
	p.seen += got.seen
}

// drop is called with mu held.
func (p *parts) drop(jobID string) {
	old, ok := p.jobs[jobID]
	if !ok {
		return
	}
	p.seen -= old.seen
	delete(p.jobs, jobID)
	p.order = slices.DeleteFunc(p.order, func(id string) bool { return id == jobID })
}
