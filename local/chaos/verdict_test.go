//go:build linux

package main

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sound is a run of two jobs, one completed and one failed, that broke nothing.
func sound() *observed {
	at := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	o := &observed{
		options: options{Concurrent: 5, Budget: 100}, jobs: map[string]row{}, events: map[string]map[string]int{},
		notified: map[string]map[string][]message{}, views: map[string]string{}, severs: func(episode) bool { return true },
		gauges: map[string]float64{"pipeline_jobs_waiting": 0}, peak: 5,
		before: census{Keys: 1, Shapes: []shape{{Pattern: "a", Type: "zset", Keys: 1, Forever: 1}}},
		after:  census{Keys: 1, Shapes: []shape{{Pattern: "a", Type: "zset", Keys: 1, Forever: 1}}},
	}
	for i, status := range []string{completed, failed} {
		id, ticker := fmt.Sprintf("job-%d", i), fmt.Sprintf("T-%d", i)
		end, code, results := "completed", "", combinations
		events := map[string]int{submitted: 1, sweepDone: 1, jobCompleted: 1, jobNotified: 2}
		if status == failed {
			end, code, results = "failed", "failed", 0
			events = map[string]int{submitted: 1, sweepFailed: 1, jobFailed: 1, jobNotified: 2}
		}
		o.jobs[id] = row{ID: id, Tenant: "acme", Status: status, Code: code, Ticker: ticker, Results: results}
		o.events[id], o.views[id] = events, status
		o.requests = append(o.requests, &request{Ticker: ticker, Tenant: "acme", Way: keyed, attempts: []attempt{
			{Status: http.StatusServiceUnavailable}, {Status: http.StatusAccepted, JobID: id},
		}})
		o.notified[id] = map[string][]message{}
		for _, channel := range channels {
			o.notified[id][channel] = []message{{At: at, Completed: status == completed}}
		}
		s := sweep{ID: "sweep-" + id, Status: end, Created: at, Completed: at.Add(time.Second)}
		s.Request.WebhookURL = "http://front/webhook/sweep-callback?job=" + id + "&token=x"
		o.sweeps = append(o.sweeps, s)
		o.calls = append(o.calls, call{At: at})
	}
	return o
}

func TestSoundRunPasses(t *testing.T) {
	t.Parallel()
	v := judge(sound())
	require.Empty(t, v.Broken)
	require.Empty(t, v.Allowed)
	require.Equal(t, 2, v.Facts["accepted"])
}

// TestEveryRuleCanBreak changes one thing each and names the rules that see it.
func TestEveryRuleCanBreak(t *testing.T) {
	t.Parallel()
	edit := func(o *observed, id string, do func(*row)) {
		r := o.jobs[id]
		do(&r)
		o.jobs[id] = r
	}
	twice := func(o *observed) {
		m := o.notified["job-0"][slack]
		o.notified["job-0"][slack] = append(m, message{At: m[0].At.Add(time.Minute), Completed: true})
	}
	for name, c := range map[string]struct {
		change  func(*observed)
		broken  []string
		allowed []string
	}{
		"no row": {change: func(o *observed) { delete(o.jobs, "job-0") }, broken: []string{"lost", "notified of nothing", "orphan sweep"}},
		"no row after a flush": {change: func(o *observed) {
			delete(o.jobs, "job-0")
			o.flushed = time.Now()
		}, allowed: []string{"lost (flushed)", "notified of nothing (flushed)", "orphan sweep (flushed)"}},
		"no row after a flush of a job that was stored": {change: func(o *observed) {
			delete(o.jobs, "job-0")
			o.flushed, o.known = time.Now(), map[string]bool{"job-0": true}
		}, broken: []string{"lost"}, allowed: []string{"notified of nothing (flushed)", "orphan sweep (flushed)"}},
		"two ids for a key": {change: func(o *observed) {
			o.requests[0].attempts = append(o.requests[0].attempts, attempt{Status: http.StatusAccepted, JobID: "job-9"})
		}, broken: []string{"doubled", "lost"}},
		"never accepted": {change: func(o *observed) { o.requests = append(o.requests, &request{Ticker: "T-9", Way: keyed}) }, broken: []string{"never accepted"}},
		"refused": {change: func(o *observed) {
			o.requests[0].attempts = append(o.requests[0].attempts, attempt{Status: http.StatusInternalServerError})
		}, broken: []string{"answer 500"}},
		"another tenant's":       {change: func(o *observed) { edit(o, "job-0", func(r *row) { r.Tenant = "globex" }) }, broken: []string{"mixed up"}},
		"a job nobody asked for": {change: func(o *observed) { o.requests = o.requests[1:] }, broken: []string{"unasked"}},
		"no end": {change: func(o *observed) {
			edit(o, "job-0", func(r *row) { r.Status = "RUNNING" })
		}, broken: []string{"notified wrongly", "stuck", "view"}},
		"failed though the sweep completed": {change: func(o *observed) {
			edit(o, "job-0", func(r *row) { r.Status, r.Code, r.Results = failed, "undeliverable", 0 })
			o.views["job-0"] = failed
			o.events["job-0"] = map[string]int{submitted: 1, sweepFailed: 1, jobFailed: 1, jobNotified: 2}
		}, broken: []string{"notified wrongly", "wrong end undeliverable"}},
		"rows missing":             {change: func(o *observed) { edit(o, "job-0", func(r *row) { r.Results = 3 }) }, broken: []string{"rows"}},
		"two ends in the timeline": {change: func(o *observed) { o.events["job-0"][jobCompleted] = 2 }, broken: []string{"timeline job.completed.v1"}},
		"both ends":                {change: func(o *observed) { o.events["job-0"][sweepFailed] = 1 }, broken: []string{"timeline sweep.failed.v1"}},
		"submitted twice in the timeline": {change: func(o *observed) {
			o.events["job-0"][submitted] = 2
		}, broken: []string{"timeline sweep.submitted.v1"}},
		"an end without its sweep's": {change: func(o *observed) { o.events["job-0"][sweepDone] = 0 }, broken: []string{"timeline sweep.completed.v1"}},
		"an end without its sweep's after a flush": {change: func(o *observed) {
			o.events["job-0"][sweepDone], o.flushed = 0, time.Now()
		}, allowed: []string{"timeline sweep.completed.v1 (flushed)"}},
		"telling not noted": {change: func(o *observed) { o.events["job-0"][jobNotified] = 1 }, broken: []string{"timeline job.notified.v1"}},
		"not notified":      {change: func(o *observed) { o.notified["job-0"][email] = nil }, broken: []string{"not notified"}},
		"notified twice":    {change: twice, broken: []string{"notified twice"}},
		"notified twice beside a kill": {change: func(o *observed) {
			twice(o)
			at := o.notified["job-0"][slack][0].At
			o.episodes = []episode{{Kind: "kill", Target: "notify", From: at.Add(time.Second), To: at.Add(2 * time.Second)}}
		}, allowed: []string{"notified twice"}},
		"notified twice long after a kill": {change: func(o *observed) {
			twice(o)
			at := o.notified["job-0"][slack][0].At
			o.episodes = []episode{{Kind: "kill", Target: "notify", From: at.Add(-time.Hour), To: at.Add(-time.Minute)}}
		}, broken: []string{"notified twice"}},
		"stray message": {change: func(o *observed) { o.stray = 1 }, broken: []string{"stray message"}},
		"submitted twice": {change: func(o *observed) {
			s := o.sweeps[0]
			s.ID, s.Created, s.Completed = "again", s.Created.Add(time.Minute), s.Completed.Add(time.Minute)
			o.sweeps = append(o.sweeps, s)
		}, broken: []string{"submitted twice"}},
		"over the limit":  {change: func(o *observed) { o.options.Concurrent, o.peak = 1, 1 }, broken: []string{"over the limit"}},
		"over the budget": {change: func(o *observed) { o.options.Budget = 1 }, broken: []string{"over the budget"}},
		"a slot lost":     {change: func(o *observed) { o.peak = 4 }, broken: []string{"slots"}},
		"still waiting":   {change: func(o *observed) { o.gauges["pipeline_jobs_waiting"] = 2 }, broken: []string{"pipeline_jobs_waiting"}},
		"dead letter":     {change: func(o *observed) { o.letters = []letter{{Trigger: "notify"}} }, broken: []string{"dead letter notify"}},
		"keys left":       {change: func(o *observed) { o.after.Shapes[0].Forever = 100 }, broken: []string{"keys left"}},
		"items left":      {change: func(o *observed) { o.after.Shapes[0].Items = 100 }, broken: []string{"items left"}},
		"pending entries": {change: func(o *observed) { o.after.Pending = 1 }, broken: []string{"pending entries"}},
		"memory":          {change: func(o *observed) { o.after.Dataset = 100 << 20 }, broken: []string{"memory"}},
		"not ready":       {change: func(o *observed) { o.unready = errors.New("store") }, broken: []string{"not ready"}},
		"not quiet":       {change: func(o *observed) { o.unquiet = errNotQuiet }, broken: []string{"not quiet"}},
		"growing":         {change: func(o *observed) { o.grown = []string{"memory"} }, broken: []string{"growing"}},
		"hung":            {change: func(o *observed) { o.hung = map[string]int{"node-1": 1} }, broken: []string{"hung"}},
		"exits":           {change: func(o *observed) { o.exits = map[string][]string{"node-1": {"exit 1"}} }, allowed: []string{"exits"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := sound()
			c.change(o)
			v := judge(o)
			require.Equal(t, c.broken, rules(v.Broken))
			require.Equal(t, c.allowed, rules(v.Allowed))
		})
	}
}

func rules(found []finding) []string {
	var names []string
	for _, f := range found {
		names = append(names, f.Rule)
	}
	return names
}

// TestBudgetWindow: a call that a frozen process or a slow link held back is
// counted in a window that is as much shorter.
func TestBudgetWindow(t *testing.T) {
	t.Parallel()
	o := sound()
	at := o.calls[0].At
	o.calls, o.options.Budget = nil, 10
	for i := range 11 {
		o.calls = append(o.calls, call{At: at.Add(time.Duration(i) * 5500 * time.Millisecond)})
	}
	require.Equal(t, []string{"over the budget"}, rules(judge(o).Broken))
	o.episodes = []episode{{Kind: "freeze", Target: "submit", From: at, To: at.Add(10 * time.Second), kind: kind{delays: true}}}
	require.Empty(t, judge(o).Broken)
}
