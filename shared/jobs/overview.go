package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

// overview is what a list shows that changes: the data of the event "jobs".
type overview struct {
	Counts map[job.State]int `json:"counts"`
	// Open are the newest jobs that have not ended.
	Open []update `json:"open"`
	// Latest is the newest job of all, so that a watcher sees that one came.
	Latest string `json:"latest,omitempty"`
}

// overviewCache holds the tenants' overviews, each read once for all who watch.
type overviewCache struct {
	mu      sync.Mutex
	tenants map[string]*cachedOverview
}

// cachedOverview is one tenant's overview.
type cachedOverview struct {
	mu   sync.Mutex
	at   time.Time
	text []byte
	// version counts how often the text has changed.
	version int
}

func (c *overviewCache) of(name string) *cachedOverview {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tenants == nil {
		c.tenants = map[string]*cachedOverview{}
	}
	if c.tenants[name] == nil {
		c.tenants[name] = &cachedOverview{}
	}
	return c.tenants[name]
}

// latestOverview gives the overview, reading it anew if it is older than STREAM_REFRESH. The
// stores may be away: then it stays as it was.
func (s *Service) latestOverview(ctx context.Context, p *cachedOverview) (text []byte, version int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.Sub(p.at) >= s.cfg.Refresh*9/10 { // all watchers tick at their own time
		o, err := s.readOverview(ctx)
		if err != nil {
			slog.WarnContext(ctx, "reading overview failed", "error", err)
			return p.text, p.version
		}
		text, err := json.Marshal(o)
		if err == nil && !bytes.Equal(text, p.text) {
			p.text, p.version = text, p.version+1
		}
		p.at = now
	}
	return p.text, p.version
}

func (s *Service) readOverview(ctx context.Context) (overview, error) {
	// The read serves all watchers, so it must not end with the one who asks.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	owner := auth.FromContext(ctx)
	o := overview{Open: []update{}}
	var err error
	if o.Counts, err = s.Store.Counts(ctx, owner, jobstore.Query{}); err != nil {
		return o, fmt.Errorf("count jobs: %w", err)
	}
	newest, err := s.Store.Jobs(ctx, owner, jobstore.Query{Limit: 1})
	if err != nil {
		return o, fmt.Errorf("read newest job: %w", err)
	}
	for _, j := range newest.Jobs {
		o.Latest = j.JobID
	}
	if o.Counts[job.Queued]+o.Counts[job.Running] == 0 {
		return o, nil
	}
	open, err := s.Store.Jobs(ctx, owner, jobstore.Query{Status: []job.State{job.Queued, job.Running}})
	if err != nil {
		return o, fmt.Errorf("read open jobs: %w", err)
	}
	for _, j := range s.Live(ctx, open.Jobs) {
		o.Open = append(o.Open, updateOf(j))
	}
	return o, nil
}

// streamOverview sends a tenant's overview as Server-Sent Events, first as it
// is and then each time it has changed, until the client goes:
//
//	event: jobs    {counts: {QUEUED: n, …}, open: [{job_id, status, display_status, progress, place?}], latest?}
func (s *Service) streamOverview(w http.ResponseWriter, r *http.Request) {
	release, ok := s.takeStream(w, auth.FromContext(r.Context()))
	if !ok {
		return
	}
	defer release()
	out := s.newEventWriter(w, r)
	if out.open() != nil {
		return
	}
	p := s.overviews.of(auth.FromContext(r.Context()))
	tick, heartbeat := time.NewTicker(s.cfg.Refresh), time.NewTicker(s.cfg.Heartbeat)
	defer tick.Stop()
	defer heartbeat.Stop()
	for seen := 0; ; {
		if text, version := s.latestOverview(r.Context(), p); version != seen {
			if out.write(fmt.Sprintf("event: jobs\ndata: %s\n\n", text)) != nil {
				return
			}
			seen = version
		}
		select {
		case <-r.Context().Done():
			return
		case <-s.drain:
			return
		case <-heartbeat.C:
			if out.comment() != nil {
				return
			}
		case <-tick.C:
		}
	}
}
