package function

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/zixly/sweepline/shared/handover"
	"github.com/zixly/sweepline/shared/telemetry"
	"github.com/zixly/sweepline/shared/transport"
)

// maxRequest bounds every request body: the largest event a broker must pass
// on is 64 KiB (CloudEvents, Size Limits), results are larger.
const maxRequest = 1 << 20

// Metrics is where a Handler counts and what Operations shows at /metrics.
type Metrics interface {
	prometheus.Registerer
	prometheus.Gatherer
}

// processMetrics is the registry of a process that is given no other.
type processMetrics struct {
	prometheus.Registerer
	prometheus.Gatherer
}

// ProcessMetrics is Prometheus' default registry, where the steps' own metrics
// are too.
func ProcessMetrics() Metrics {
	return processMetrics{prometheus.DefaultRegisterer, prometheus.DefaultGatherer}
}

// Handler serves fn, an EventFunction or an HTTPFunction, under a step's name:
//
//	/healthz, /health/liveness    is the process all right?
//	/readyz, /health/readiness    can it work? 503 names what is missing
//	everything else               fn; an EventFunction gets what is sealed only
//
// Metrics are not here: they name tenants and tickers, and this port may be
// public. See Operations. A panic in fn is logged with its stack and answered with a bare 500.
func Handler(name string, fn any, m Metrics, options ...Option) (http.Handler, error) {
	var inner http.Handler
	switch f := fn.(type) {
	case EventFunction:
		g := newGuard(name, m, options)
		if g.seals == nil {
			return nil, fmt.Errorf("serve %s: a function that takes events needs seals", name)
		}
		inner = eventHandler(g, f)
	case HTTPFunction:
		inner = http.HandlerFunc(f.Handle)
		inner = spanned(name, inner)
	default:
		return nil, fmt.Errorf("serve %s: %T has no Handle for events or requests", name, fn)
	}
	inner = observe(name, inner, m)
	ready, alive := readyz(fn), healthz(fn)
	// A plain switch: a ServeMux would clean paths and redirect on its own.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		transport.LimitBodyTime(w, r)
		w = forProblems(w, r)
		switch r.URL.Path {
		case "/healthz", "/health/liveness":
			alive(w, r)
		case "/readyz", "/health/readiness":
			ready(w, r)
		case "/metrics": // not fn's either, whatever it would say
			WriteNotFound(w, "address")
		default:
			inner.ServeHTTP(w, r)
		}
	}), nil
}

// Operations serves what is for those who run fn, a function or Checks: /metrics as
// Prometheus text, and health as Handler does.
func Operations(fn any, m prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", healthz(fn))
	mux.HandleFunc("GET /readyz", readyz(fn))
	return mux
}

// observe bounds the body, takes up the trace, counts, times and recovers.
func observe(name string, next http.Handler, m Metrics) http.Handler {
	requests := telemetry.Register(m, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pipeline_function_requests_total", Help: "Requests answered by a function.",
	}, []string{"function", "code"}))
	seconds := telemetry.Register(m, prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "pipeline_function_request_seconds", Help: "Time to a function's answer.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
	}, []string{"function"}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		ctx := telemetry.FromHeader(r.Context(), r.Header)
		ctx = telemetry.With(ctx, slog.String("step", name))
		r = r.WithContext(ctx)
		out := &answer{ResponseWriter: w}
		if !handover.Handed(r) {
			r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
		}
		defer func() {
			p := recover()
			if p == http.ErrAbortHandler { //nolint:errorlint // the sentinel itself is the panic
				panic(p)
			}
			if p != nil {
				slog.ErrorContext(ctx, "function panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				if out.status == 0 {
					WriteError(out, http.StatusInternalServerError, CodeInternal, "internal error")
				}
			}
			requests.WithLabelValues(name, strconv.Itoa(max(out.status, http.StatusOK))).Inc()
			if !out.stream {
				seconds.WithLabelValues(name).Observe(time.Since(began).Seconds())
			}
		}()
		next.ServeHTTP(out, r)
	})
}

// answer remembers the status. Unwrap lets http.ResponseController through, so
// streams can flush and set deadlines.
type answer struct {
	http.ResponseWriter
	status int
	stream bool
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
		a.stream = a.Header().Get("Content-Type") == "text/event-stream"
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap gives the writer beneath.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
