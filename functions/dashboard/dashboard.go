// Package dashboard shows jobs to people: pages rendered on the server, with their
// style and script, and the forms on them. People sign in with a tenant's key, which a
// session cookie stands for from then on. What it reads and acts on is shared/jobs; the
// addresses that its pages listen at and link to are the API's, and answered here too,
// so that a dashboard may have a host of its own.
package dashboard

import (
	"context"
	"errors"
	"net/http"

	"github.com/zixly/sweepline/shared/jobs"
	"github.com/zixly/sweepline/shared/mailbox"
	"github.com/zixly/sweepline/shared/notifyurl"
)

// Config is read from the environment.
type Config struct {
	// TraceURL is a tracing system's address of a trace, with {trace_id} in it, such as
	// https://jaeger.example/trace/{trace_id}.
	// Without one, pages name the trace and link nowhere.
	TraceURL string `envconfig:"TRACE_URL"`
	notifyurl.Config
}

// messages are those that were not sent, where nothing can be: mailbox.Box.
type messages interface {
	Messages(tenant string) []mailbox.Message
	Message(tenant, jobID string) (mailbox.Message, bool)
}

// checker tells whether something answers.
type checker interface {
	Health(ctx context.Context) error
}

// Deps is what the pages show besides jobs. All may be nil.
type Deps struct {
	// Mailbox holds messages that could not be sent; nil where they are sent:
	// there is then no such page.
	Mailbox messages
	// Trading is the trading API; nil leaves it out of the health.
	Trading checker
}

// Function serves the dashboard.
type Function struct {
	Deps

	cfg      Config
	hosts    *notifyurl.Hosts
	jobs     *jobs.Service
	handler  http.Handler
	surfaces surfaces
}

// New shows what s reads. Stop stops s.
func New(cfg Config, s *jobs.Service, d Deps) (*Function, error) {
	if s == nil {
		return nil, errors.New("dashboard needs jobs")
	}
	if err := checkTraceURL(cfg.TraceURL); err != nil {
		return nil, err
	}
	hosts, err := notifyurl.New(cfg.Config)
	if err != nil {
		return nil, err
	}
	f := &Function{Deps: d, cfg: cfg, hosts: hosts, jobs: s}
	f.handler = f.routes()
	return f, nil
}

// routes lists every address of the function.
func (f *Function) routes() http.Handler {
	mux := http.NewServeMux()
	page := func(pattern string, h http.HandlerFunc) { mux.Handle(pattern, f.jobs.Require(h, f.askForKey)) }
	page("GET /{$}", f.jobsPage)
	page("GET /activity", f.activityPage)
	page("GET /new", f.newPage)
	page("POST /new", f.submitFromPage)
	page("GET /jobs/{id}", jobs.Compressed(jobs.OfJob(f.jobPage))) // a large map is half a megabyte
	page("GET /compare", jobs.Compressed(http.HandlerFunc(f.comparePage)))
	page("POST /jobs/{id}/cancel", jobs.OfJob(f.cancelFromPage))
	page("POST /jobs/{id}/retry", jobs.OfJob(f.retryFromPage))
	page("GET /act", f.actPage)
	page("POST /act", f.actOnMany)
	if f.jobs.DeadLetters != nil {
		page("GET /dead-letters", f.deadLettersPage)
		page("POST /dead-letters", f.actOnDeadLetters)
	}
	if f.jobs.Broker != nil {
		operators := func(pattern string, h http.HandlerFunc) { page(pattern, f.jobs.OperatorsOnly(h, f.refuseNonOperators)) }
		operators("GET /broker", f.brokerPage)
		for _, act := range []string{"pause", "resume", "replay"} {
			operators("POST /broker"+jobs.TriggerPath+act, f.actOnTriggerFromPage(act))
		}
	}
	if f.Mailbox != nil {
		page("GET /mailbox", f.mailboxPage)
		page("GET /mailbox/{id}", f.messagePage)
		page("GET /mailbox/{id}/mail", f.mailAlone)
	}
	f.jobs.Linked(mux)
	mux.HandleFunc("POST /login", f.login)
	mux.HandleFunc("POST /logout", f.logout)
	mux.Handle("GET /assets/", assetServer())
	mux.Handle("GET /favicon.ico", http.RedirectHandler("/assets/favicon.svg", http.StatusMovedPermanently))
	return f.jobs.Guard(mux)
}

func (f *Function) refuseNonOperators(w http.ResponseWriter, r *http.Request) {
	f.problem(w, r, http.StatusForbidden, "For operators", "Nothing is shown here: "+jobs.OperatorsRule+".")
}

// Handle answers one request.
func (f *Function) Handle(w http.ResponseWriter, r *http.Request) { f.handler.ServeHTTP(w, r) }

// Ready reports whether Redis and the job store answer.
func (f *Function) Ready(ctx context.Context) (bool, error) { return f.jobs.Ready(ctx) }

// Drain ends all streams; browsers come back to another replica by themselves.
func (f *Function) Drain() { f.jobs.Drain() }

// Stop waits for maps and counts under way, whose askers have gone by now, and ends what
// the jobs are read with.
func (f *Function) Stop(ctx context.Context) error {
	read := make(chan struct{})
	go func() {
		f.surfaces.readers.Wait()
		close(read)
	}()
	select {
	case <-read:
	case <-ctx.Done():
	}
	return f.jobs.Stop(ctx)
}
