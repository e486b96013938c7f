// Package callback receives the trading API's callbacks for ended sweeps: POST
// /webhook/sweep-callback. It ends the job's wait and sends sweep.completed or
// sweep.failed to the broker.
//
// The API calls once, unsigned, and never again. So the caller must show the
// token that submit issued for the job, and an event that could not be sent stays
// in the wait record as a pending action of the supervisor. The supervisor also polls
// for callbacks that never arrive.
package callback

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/telemetry"
	"github.com/zixly/sweepline/shared/trading"
	"github.com/zixly/sweepline/shared/transport"
	"github.com/zixly/sweepline/shared/wait"
)

// handleTimeout bounds one callback; the API hangs up after 30 s.
const handleTimeout = 20 * time.Second

// Config is read from the environment.
type Config struct {
	// Secret is what the tokens of callbacks are checked by.
	Secret string `envconfig:"CALLBACK_SECRET" required:"nonempty"`
	// OldSecret is taken as well as Secret, while secrets rotate.
	OldSecret string `envconfig:"CALLBACK_SECRET_OLD"`
}

// jobGetter returns the status of a sweep: trading.Client.
type jobGetter interface {
	Job(ctx context.Context, id string) (trading.Job, error)
}

// Function is the step.
type Function struct {
	cfg      Config
	waits    *wait.Waits
	api      jobGetter
	sink     wait.Sender
	outcomes *prometheus.CounterVec
	lost     finder // may be nil
	close    func() error
	// large has room for bodies above smallBody.
	large chan struct{}
}

// finder brings back the wait record of a job that Redis has lost: restore.Jobs.
type finder interface {
	Find(ctx context.Context, jobID string) (job.Job, error)
}

// Option changes what New builds.
type Option func(*Function)

// WithLost lets the step ask the job store about a job that has no record. Without it
// such a job is unknown (404), and the supervisor learns of its end by a poll.
func WithLost(f finder) Option { return func(c *Function) { c.lost = f } }

const (
	// smallBody is what nearly every callback fits into.
	smallBody = 64 << 10
	// largeBodies is how many larger ones are read at once; others wait.
	largeBodies = 8
)

// New refuses missing dependencies and bad configuration, and does no I/O. The
// caller closes what it hands in.
func New(cfg Config, waits *wait.Waits, api jobGetter, sink wait.Sender, reg prometheus.Registerer, options ...Option) (*Function, error) {
	if waits == nil || api == nil || sink == nil || reg == nil {
		return nil, errors.New("callback: waits, trading API, sink and registry are required")
	}
	if cfg.Secret == "" {
		return nil, errors.New("CALLBACK_SECRET is required")
	}
	if err := function.CheckSecret("CALLBACK_SECRET", cfg.Secret); err != nil {
		return nil, err
	}
	if cfg.OldSecret != "" {
		if err := function.CheckSecret("CALLBACK_SECRET_OLD", cfg.OldSecret); err != nil {
			return nil, err
		}
	}
	f := &Function{cfg: cfg, waits: waits, api: api, sink: sink, large: make(chan struct{}, largeBodies)}
	for _, option := range options {
		option(f)
	}
	f.outcomes = telemetry.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pipeline_callbacks_total", Help: "Callbacks of the trading API by what became of them.",
	}, []string{"outcome"}))
	for _, o := range []outcome{completed, failed, duplicate, late, foreign, unauthorized, unknown, invalid, unavailable} {
		f.outcomes.WithLabelValues(string(o))
	}
	return f, nil
}

// outcome is what became of a callback, as it is counted.
type outcome string

const (
	completed outcome = "completed"
	failed    outcome = "failed"
	duplicate outcome = "duplicate"
	late      outcome = "late"
	// foreign: of another sweep than the one that the job waits for.
	foreign      outcome = "foreign"
	unauthorized outcome = "unauthorized"
	unknown      outcome = "unknown"
	invalid      outcome = "invalid"
	unavailable  outcome = "unavailable"
)

// Ready reports whether Redis answers.
func (f *Function) Ready(ctx context.Context) (bool, error) {
	return function.Check(ctx, map[string]func(context.Context) error{"redis": f.waits.Ping})
}

// Stop closes what FromEnv opened.
func (f *Function) Stop(context.Context) error {
	if f.close == nil {
		return nil
	}
	if err := f.close(); err != nil {
		return fmt.Errorf("close callback: %w", err)
	}
	return nil
}

// Handle answers 200 only once the broker keeps the event, or where there is
// nothing to send. The token is verified before the body is read.
func (f *Function) Handle(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.TrimSuffix(r.URL.Path, "/") != trading.CallbackPath: // some proxies append a slash
		function.WriteNotFound(w, "address")
		return
	case r.Method != http.MethodPost:
		function.WriteMethodNotAllowed(w, http.MethodPost)
		return
	}
	jobID := r.URL.Query().Get("job")
	if !f.authorized(r, jobID) {
		f.count(unauthorized)
		w.Header().Set("WWW-Authenticate", `Bearer realm="sweepline"`)
		function.WriteError(w, http.StatusUnauthorized, function.CodeUnauthorized, "a valid token is required")
		return
	}
	c, ok := f.read(w, r)
	if !ok {
		f.count(invalid)
		return
	}
	// The API calls once. What it has told in full is taken, whether or not it
	// waits for the answer.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), handleTimeout)
	defer cancel()
	ctx, o, err := f.resolve(ctx, jobID, c)
	f.count(o)
	switch {
	case o == unknown:
		function.WriteNotFound(w, "job")
	case err != nil:
		slog.WarnContext(ctx, "sending callback event failed", "job_id", jobID, "error", err)
		function.WriteUnavailable(w, err)
	default:
		slog.InfoContext(ctx, "callback handled", "job_id", jobID, "outcome", string(o))
		function.WriteJSON(w, http.StatusOK, map[string]string{"message": messages[o]})
	}
}

var messages = map[outcome]string{
	completed: "Sweep completed",
	failed:    "Sweep failed",
	duplicate: "Already known",
	late:      "The job has ended before; noted",
	foreign:   "Not the sweep that the job waits for; nothing has changed",
}

func (f *Function) count(o outcome) { f.outcomes.WithLabelValues(string(o)).Inc() }

// authorized looks at the token in the query, and at the bearer token that
// comes back from webhook_headers, for callers that lose one of them.
func (f *Function) authorized(r *http.Request, jobID string) bool {
	ok := trading.Verify(r.URL.Query().Get("token"), jobID, f.cfg.Secret, f.cfg.OldSecret)
	if scheme, token, found := strings.Cut(r.Header.Get("Authorization"), " "); found && strings.EqualFold(scheme, "Bearer") {
		ok = trading.Verify(strings.TrimSpace(token), jobID, f.cfg.Secret, f.cfg.OldSecret) || ok
	}
	return ok && jobID != ""
}

// read reads the body, or answers why not.
func (f *Function) read(w http.ResponseWriter, r *http.Request) (trading.Callback, bool) {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" || !transport.IsUTF8(params) || !transport.Uncoded(r.Header) {
		function.WriteError(w, http.StatusUnsupportedMediaType, function.CodeMediaType, "the body must be application/json, in UTF-8 and not compressed")
		return trading.Callback{}, false
	}
	if r.ContentLength < 0 || r.ContentLength > smallBody {
		select {
		case f.large <- struct{}{}:
			defer func() { <-f.large }()
		case <-r.Context().Done():
			return trading.Callback{}, false
		}
	}
	body, err := transport.ReadBody(w, r, trading.MaxCallback)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		w.Header().Set("Connection", "close") // the rest of the body is not read
		function.WriteError(w, http.StatusRequestEntityTooLarge, function.CodeTooLarge, fmt.Sprintf("the body is larger than %d KiB", trading.MaxCallback>>10))
		return trading.Callback{}, false
	case err != nil:
		function.WriteError(w, http.StatusBadRequest, function.CodeInvalid, "the body could not be read")
		return trading.Callback{}, false
	}
	c, err := trading.ParseCallback(body)
	if err != nil {
		function.WriteError(w, http.StatusBadRequest, function.CodeInvalid, "the body is not a callback of the trading API")
		return trading.Callback{}, false
	}
	return c, true
}
