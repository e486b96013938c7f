// Package api answers programs: jobs, their timelines, rows and event streams, dead
// letters and the broker's state, as JSON, and takes what they want of them (cancel,
// retry, redrive, pause). Who asks is recognized by a bearer key or by the dashboard's
// session cookie. What it reads and acts on is shared/jobs.
package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/zixly/sweepline/shared/jobs"
)

// Function serves the API.
type Function struct {
	jobs    *jobs.Service
	handler http.Handler
	// patterns are those of its addresses.
	patterns []string
}

// table is a mux that notes its patterns.
type table struct {
	*http.ServeMux

	patterns []string
}

// Handle adds an address.
func (t *table) Handle(pattern string, h http.Handler) {
	t.patterns = append(t.patterns, pattern)
	t.ServeMux.Handle(pattern, h)
}

// New serves what s reads. Stop stops s.
func New(s *jobs.Service) (*Function, error) {
	if s == nil {
		return nil, errors.New("api needs jobs")
	}
	f := &Function{jobs: s}
	f.handler = f.routes()
	return f, nil
}

// routes lists every address of the function.
func (f *Function) routes() http.Handler {
	mux := &table{ServeMux: http.NewServeMux()}
	// Each is given with the query parameters that it takes.
	handle := func(pattern string, h http.HandlerFunc, query ...string) {
		mux.Handle(pattern, f.jobs.Require(jobs.Query(h, query...), jobs.Refuse))
	}
	handle("GET /webhook/jobs/{id}", jobs.OfJob(f.getJob))
	handle("GET /api/jobs", f.listJobs, "status", "prefix", "ticker", "q", "group", "label", "since", "until", "sort", "limit", "cursor")
	handle("GET /api/jobs/{id}", jobs.OfJob(f.getJob))
	handle("POST /api/jobs/{id}/cancel", jobs.OfJob(f.cancelJob))
	handle("POST /api/jobs/{id}/retry", jobs.OfJob(f.retryJob))
	for _, act := range []jobs.Act{jobs.ActCancel, jobs.ActRetry} { // which names unknown parameters among its other problems
		mux.Handle("POST /api/jobs/"+string(act), f.jobs.Require(f.actOnMany(act), jobs.Refuse))
	}
	if f.jobs.DeadLetters != nil {
		handle("GET /api/dead-letters", f.listDeadLetters, "trigger", "cause", "limit", "cursor")
		handle("GET /api/dead-letters/causes", f.listCauses, "trigger")
		for _, act := range []jobs.LetterAct{jobs.ActRedrive, jobs.ActDiscard} { // as above
			mux.Handle("POST /api/dead-letters/"+string(act), f.jobs.Require(f.actOnLetters(act), jobs.Refuse))
		}
		handle("POST /api/dead-letters/{id}/redrive", f.redrive)
		handle("DELETE /api/dead-letters/{id}", f.discard)
	}
	f.jobs.Linked(mux) // streams, timelines, rows, one dead letter
	if f.jobs.Broker != nil {
		operators := func(pattern string, h http.HandlerFunc, query ...string) {
			handle(pattern, f.jobs.OperatorsOnly(h, refuseNonOperators), query...)
		}
		operators("GET /api/broker", f.getBroker)
		operators("POST /api/broker"+jobs.TriggerPath+"pause", f.actOnTrigger("pause"))
		operators("POST /api/broker"+jobs.TriggerPath+"resume", f.actOnTrigger("resume"))
		operators("POST /api/broker"+jobs.TriggerPath+"replay", f.actOnTrigger("replay"), "since")
	}
	mux.Handle("GET /openapi.json", jobs.Query(getOpenAPI))
	mux.Handle("GET /version", jobs.Query(getVersion))
	f.patterns = mux.patterns
	return f.jobs.Guard(mux.ServeMux)
}

// Handle answers one request.
func (f *Function) Handle(w http.ResponseWriter, r *http.Request) { f.handler.ServeHTTP(w, r) }

// Ready reports whether Redis and the job store answer.
func (f *Function) Ready(ctx context.Context) (bool, error) { return f.jobs.Ready(ctx) }

// Drain ends all streams; browsers come back to another replica by themselves.
func (f *Function) Drain() { f.jobs.Drain() }

// Stop ends what the jobs are read with.
func (f *Function) Stop(ctx context.Context) error { return f.jobs.Stop(ctx) }
