//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// observed is everything that was seen of a run, and nothing that was meant. The
// verdict is computed from it alone.
type observed struct {
	options  options
	requests []*request
	jobs     map[string]row
	// events counts the timeline of each job by type.
	events   map[string]map[string]int
	notified map[string]map[string][]message
	stray    int
	sweeps   []sweep
	calls    []call
	schedule []fault
	episodes []episode
	severs   func(episode) bool
	letters  []letter
	// views are the states that GET /webhook/jobs/{id} shows.
	views map[string]string
	// gauges are the highest values over all processes.
	gauges map[string]float64
	// peak is the sweeps that were at the API at once when enough were asked for
	// at the same instant; 0 where that was not tried.
	peak          int
	before, after census
	// unready is what did not come back after healing, unquiet what never settled.
	unready, unquiet error
	// grown are the series of a steady run that still grew at its end.
	grown []string
	exits map[string][]string
	hung  map[string]int
	// flushed is when Redis was emptied, and known the jobs that the store had
	// then; zero where it was not.
	flushed time.Time
	known   map[string]bool
}

// letter is one of GET /api/dead-letters.
type letter struct {
	ID      string `json:"id"`
	Trigger string `json:"trigger"`
	Type    string `json:"type"`
	JobID   string `json:"job_id"`
	Reason  string `json:"reason"`
}

// observe reads everything that can be read from outside.
func (w *world) observe(ctx context.Context, o *observed) error {
	var errs []error
	var err error
	if o.jobs, o.events, err = w.postgres.stored(ctx); err != nil {
		errs = append(errs, err)
	}
	if o.sweeps, err = w.sweeps(); err != nil {
		errs = append(errs, err)
	}
	if o.letters, err = w.letters(ctx); err != nil {
		errs = append(errs, err)
	}
	if o.views, err = w.views(ctx, o.jobs); err != nil {
		errs = append(errs, err)
	}
	o.notified, o.stray = w.people.heard()
	o.calls, o.severs = w.api.seen(), w.severs
	o.gauges = w.gauges(ctx, "pipeline_jobs_waiting", "pipeline_jobs_parked")
	o.exits, o.hung = map[string][]string{}, map[string]int{}
	for _, p := range append(w.pipeline(), w.redis.process, w.postgres.process, w.simulator) {
		p.mu.Lock()
		if len(p.exits) > 0 {
			o.exits[p.name] = p.exits
		}
		if p.hung > 0 {
			o.hung[p.name] = p.hung
		}
		p.mu.Unlock()
	}
	return errors.Join(errs...)
}

// letters are the dead letters of all tenants and of none.
func (w *world) letters(ctx context.Context) ([]letter, error) {
	var all []letter
	for _, tenant := range append([]string{operator}, tenants...) {
		for cursor := ""; ; {
			var page struct {
				Letters []letter `json:"dead_letters"`
				Next    string   `json:"next_cursor"`
			}
			if err := w.fetch(ctx, "/api/dead-letters?limit=500&cursor="+url.QueryEscape(cursor), tenant, &page); err != nil {
				return nil, fmt.Errorf("list dead letters: %w", err)
			}
			all = append(all, page.Letters...)
			if cursor = page.Next; cursor == "" {
				break
			}
		}
	}
	return all, nil
}

// views asks for each job as its tenant does.
func (w *world) views(ctx context.Context, jobs map[string]row) (map[string]string, error) {
	views := map[string]string{}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for id, j := range jobs {
		g.Go(func() error {
			var v struct {
				Status string `json:"status"`
			}
			if err := w.fetch(ctx, "/webhook/jobs/"+id, j.Tenant, &v); err != nil {
				v.Status = err.Error()
			}
			mu.Lock()
			defer mu.Unlock()
			views[id] = v.Status
			return ctx.Err()
		})
	}
	return views, g.Wait()
}

func (w *world) fetch(ctx context.Context, path, tenant string, into any) error {
	resp, err := get(ctx, "http://"+w.frontAddr+path, tenant)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode/100 != 2 {
		return errors.New(resp.Status)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, 64<<20)).Decode(into)
}

// gauges are the highest values of metrics over all processes, summed over
// labels. What no process has is left out.
func (w *world) gauges(ctx context.Context, names ...string) map[string]float64 {
	highest := map[string]float64{}
	for _, addr := range w.admin {
		for name, v := range scrape(ctx, addr, names...) {
			highest[name] = max(highest[name], v)
		}
	}
	return highest
}

// scrape reads metrics of one process; none where it does not answer.
func scrape(ctx context.Context, addr string, names ...string) map[string]float64 {
	resp, err := get(ctx, "http://"+addr+"/metrics", "")
	if err != nil {
		return nil
	}
	defer func() { _ = resp.Body.Close() }()
	found := map[string]float64{}
	lines := bufio.NewScanner(io.LimitReader(resp.Body, 16<<20))
	for lines.Scan() {
		for _, name := range names {
			rest, ok := strings.CutPrefix(lines.Text(), name)
			if !ok || rest == "" || rest[0] != ' ' && rest[0] != '{' {
				continue
			}
			if v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64); err == nil {
				found[name] += v
			}
		}
	}
	return found
}
