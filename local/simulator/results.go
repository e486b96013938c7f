package simulator

import (
	"context"
	"sync"
	"sync/atomic"
)

// maxCachedRows bounds the memory that results take, about 40 MB.
const maxCachedRows = 200_000

// resultCache keeps the rows of the newest sweeps. Older ones are computed
// again when asked for: they depend on the request and the prices alone.
type resultCache struct {
	mu    sync.Mutex
	rows  map[string][]row
	order []string
	total int
}

func newResultCache() *resultCache { return &resultCache{rows: map[string][]row{}} }

// put keeps rows, dropping the oldest above the bound, but never the newest.
func (c *resultCache) put(runID string, rows []row) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.rows[runID]; ok {
		return
	}
	c.rows[runID] = rows
	c.order = append(c.order, runID)
	c.total += len(rows)
	for c.total > maxCachedRows && len(c.order) > 1 {
		oldest := c.order[0]
		c.order = c.order[1:]
		c.total -= len(c.rows[oldest])
		delete(c.rows, oldest)
	}
}

func (c *resultCache) get(runID string) ([]row, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	rows, ok := c.rows[runID]
	return rows, ok
}

// rows are the results of a completed sweep, best first.
func (s *Simulator) rows(ctx context.Context, j *sweep) ([]row, error) {
	if rows, ok := s.results.get(j.runID); ok {
		return rows, nil
	}
	prices, err := loadSeries(s.cfg.PricesDir, j.req.Ticker, s.cfg.Seed)
	if err != nil {
		return nil, err
	}
	var done atomic.Int64
	rows, err := s.engine.compute(ctx, j.req, prices, &done)
	if err != nil {
		return nil, err
	}
	s.results.put(j.runID, rows)
	return rows, nil
}
