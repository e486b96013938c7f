// Package receive is the pipeline's front door: POST /webhook/trading-sweep.
// It checks the payload, gives the job its id, and answers 202 as soon as the
// broker keeps sweep.requested. Submit takes it from there.
package receive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/enqueue"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/notifyurl"
	"github.com/zixly/sweepline/shared/quota"
	"github.com/zixly/sweepline/shared/rfc3339"
	"github.com/zixly/sweepline/shared/sink"
	"github.com/zixly/sweepline/shared/telemetry"
	"github.com/zixly/sweepline/shared/trading"
	"github.com/zixly/sweepline/shared/transport"
	"github.com/zixly/sweepline/shared/wait"
)

// path is the one address that receive answers at.
const path = "/webhook/trading-sweep"

// acceptTimeout bounds accepting a job. A client should hear 503
// rather than run into its own timeout.
const acceptTimeout = 8 * time.Second

// Config is read from the environment.
type Config struct {
	// BaseURL is where the trading API reaches the pipeline: webhook_url in answers.
	BaseURL string `envconfig:"WEBHOOK_BASE_URL" default:"http://localhost:8080"`
	// PublicURL is where clients reach the API and the dashboard: status_url, stream_url
	// and dashboard_url in answers. Empty: the same as BaseURL.
	PublicURL string `envconfig:"PUBLIC_URL"`
	// ScheduleSecret signs the tokens of schedules, 16 bytes at least; without one there
	// are none.
	ScheduleSecret string `envconfig:"SCHEDULE_SECRET"`
	notifyurl.Config
}

// enqueuer takes a job in: enqueue.Enqueuer.
type enqueuer interface {
	Enqueue(ctx context.Context, r enqueue.Request) (enqueue.Accepted, error)
	EnqueueGroup(ctx context.Context, r enqueue.Request, tickers []string) ([]enqueue.Accepted, error)
}

// Function answers the webhook.
type Function struct {
	enqueue enqueuer
	keys    *auth.Keys
	webhook string
	// public is PUBLIC_URL without a slash at its end.
	public string
	// path is that of WEBHOOK_BASE_URL, which proxies take away.
	path      string
	schedules auth.Schedules
	hosts     *notifyurl.Hosts
	guarded   http.Handler
	pings     map[string]func(context.Context) error
	close     func() error
}

// New refuses missing dependencies and a bad base URL, and does no I/O. pings
// are asked by Ready, each under the name of its dependency; they may be nil.
func New(cfg Config, in enqueuer, keys *auth.Keys, pings map[string]func(context.Context) error) (*Function, error) {
	if in == nil || keys == nil {
		return nil, errors.New("receive: enqueuer and tenant keys are required")
	}
	u, err := transport.ParseBase(cfg.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("WEBHOOK_BASE_URL %w", err)
	}
	cfg.PublicURL = cmp.Or(cfg.PublicURL, cfg.BaseURL)
	if _, err := transport.ParseBase(cfg.PublicURL); err != nil {
		return nil, fmt.Errorf("PUBLIC_URL %w", err)
	}
	f := &Function{
		enqueue: in, keys: keys, pings: pings, webhook: strings.TrimSuffix(cfg.BaseURL, "/") + trading.CallbackPath,
		public: strings.TrimRight(cfg.PublicURL, "/"), path: strings.TrimRight(u.EscapedPath(), "/"),
	}
	if f.schedules, err = auth.NewSchedules(cfg.ScheduleSecret); err != nil {
		return nil, err
	}
	if f.hosts, err = notifyurl.New(cfg.Config); err != nil {
		return nil, err
	}
	f.guarded = keys.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.take(w, r, "") }))
	return f, nil
}

// FromDeps joins the function to what it stands on, which the caller closes.
func FromDeps(cfg Config, waits *wait.Waits, sender *sink.Sink, keys *auth.Keys) (*Function, error) {
	in, err := enqueue.New(waits, sender, time.Now)
	if err != nil {
		return nil, err
	}
	return New(cfg, in, keys, map[string]func(context.Context) error{"redis": waits.Ping})
}

// Ready reports whether Redis answers. The broker is not asked: it refuses for
// itself, with 503.
func (f *Function) Ready(ctx context.Context) (bool, error) { return function.Check(ctx, f.pings) }

// Stop closes what FromEnv opened.
func (f *Function) Stop(context.Context) error {
	if f.close == nil {
		return nil
	}
	if err := f.close(); err != nil {
		return fmt.Errorf("close receive: %w", err)
	}
	return nil
}

// Handle answers one request. The method is judged first, then the key, then
// what the body claims to be, and only then is the body read.
func (f *Function) Handle(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.TrimSuffix(r.URL.Path, "/") != path: // some proxies append a slash
		function.WriteNotFound(w, "address")
	case r.Method != http.MethodPost:
		function.WriteMethodNotAllowed(w, http.MethodPost)
	case scheduled(r):
		f.takeScheduled(w, r)
	default:
		f.guarded.ServeHTTP(w, r)
	}
}

// jobAddresses are a job's id and addresses.
type jobAddresses struct {
	JobID        string `json:"job_id"`
	StatusURL    string `json:"status_url"`
	StreamURL    string `json:"stream_url"`
	DashboardURL string `json:"dashboard_url"`
}

func (f *Function) addresses(h job.Header) jobAddresses {
	return jobAddresses{
		JobID: h.JobID, StatusURL: f.public + "/webhook/jobs/" + h.JobID, StreamURL: f.public + "/api/jobs/" + h.JobID + "/stream",
		DashboardURL: f.public + "/jobs/" + h.JobID,
	}
}

// accepted is the body of a 202.
type accepted struct {
	jobAddresses

	Status  job.State `json:"status"`
	Message string    `json:"message"`
	// WebhookURL is where the trading API calls us. Deprecated: it is of no use to a
	// client, and was taken for the job's address.
	WebhookURL string        `json:"webhook_url"`
	CreatedAt  rfc3339.Milli `json:"created_at"`
}

// take answers a request of a tenant. A key that is given is the request's, whatever its
// headers and its event say.
func (f *Function) take(w http.ResponseWriter, r *http.Request, key string) {
	ctx, cancel := context.WithTimeout(r.Context(), acceptTimeout)
	defer cancel()
	req, ctx, err := f.read(ctx, w, r)
	if err != nil {
		answerRefusal(w, err)
		return
	}
	ctx = telemetry.Start(ctx)
	req.Key = cmp.Or(key, req.Key)
	req.Tenant, req.Shares = auth.FromContext(ctx), f.keys.Shares()
	var got []enqueue.Accepted
	if req.tickers != nil {
		got, err = f.enqueue.EnqueueGroup(ctx, req.Request, req.tickers)
	} else {
		got = make([]enqueue.Accepted, 1)
		got[0], err = f.enqueue.Enqueue(ctx, req.Request)
	}
	full, isFull := errors.AsType[*quota.Exceeded](err)
	switch {
	case isFull:
		full.Write(w)
		return
	case errors.Is(err, enqueue.ErrConflict):
		function.WriteError(w, http.StatusUnprocessableEntity, function.CodeKeyReused, "the idempotency key was used before with another payload")
		return
	case err != nil:
		slog.WarnContext(ctx, "accepting job failed", "tenant_id", req.Tenant, "error", err)
		function.WriteUnavailable(w, err)
		return
	}
	replayed := true
	for _, a := range got {
		h := a.Header
		log := slog.With("job_id", h.JobID, "job_type", h.JobType, "tenant_id", h.TenantID, "ticker", h.Parameters.Ticker)
		if a.Replayed {
			log.InfoContext(ctx, "job request repeated")
		} else {
			log.InfoContext(ctx, "Job queued", "status", string(job.Queued), "created_at", h.CreatedAt) //nolint:sloglint // the wording is promised
			replayed = false
		}
	}
	if replayed {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	if req.tickers != nil {
		f.answerGroup(w, got, replayed)
		return
	}
	h := got[0].Header
	message := "The sweep is queued"
	if replayed {
		message = "The sweep was asked for before"
	}
	w.Header().Set("Location", f.path+"/webhook/jobs/"+h.JobID)
	function.WriteJSON(w, http.StatusAccepted, accepted{
		jobAddresses: f.addresses(h), Status: job.Queued, Message: message, WebhookURL: f.webhook, CreatedAt: rfc3339.Milli(h.CreatedAt),
	})
}
