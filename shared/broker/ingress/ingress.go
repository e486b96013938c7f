// Package ingress takes events in by HTTP: POST /{namespace}/{broker}.
//
//	ingress.go  the request: bounds, 202 once Redis has the event
//	broker.go   one Broker: where its events are stored, and in which partition
//	admit.go    who may post, where the cluster asks senders who they are
package ingress

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/zixly/sweepline/shared/broker/cloudevent"
	"github.com/zixly/sweepline/shared/broker/stream"
	"github.com/zixly/sweepline/shared/handover"
	"github.com/zixly/sweepline/shared/rfc3339"
	"github.com/zixly/sweepline/shared/transport"
)

// Handler is the ingress. 202 means that every event of the request is durable in
// Redis, or was already.
//
// Other answers, from the data plane specification of Knative Eventing: 400 not a
// valid CloudEvent, or its TTL is used up; 401 and 403 where Config.Admit says so;
// 404 no such broker; 405; 413; 415; 503 with Retry-After where Redis cannot take events or a subscriber is too far
// behind.
//
// A request with "Priority: u=0" to "u=2" (RFC 9218) belongs to work that was
// accepted before: it has room beyond the cap at which others get 503.
type Handler struct {
	maxBytes int64
	timeout  time.Duration
	check    func(event.Event) error
	admit    Admit
	// large has room for what large bodies hold at once.
	large    *semaphore.Weighted
	log      *slog.Logger
	requests *prometheus.CounterVec
	received *prometheus.CounterVec
	brokers  atomic.Pointer[map[stream.Broker]*Broker]

	lastWarning atomic.Int64
}

// Config tunes a Handler.
type Config struct {
	// MaxEventBytes bounds a request body; more is answered with 413.
	MaxEventBytes int64
	// RedisTimeout bounds one call to Redis, and so how late a 503 can be.
	RedisTimeout time.Duration
	// Check, if set, says of an event why nobody could ever read it: its request is
	// refused with 400.
	Check func(event.Event) error
	// Admit, if set, says who may post.
	Admit Admit
}

// New makes a Handler without Brokers. reg may be nil.
func New(cfg Config, reg prometheus.Registerer, log *slog.Logger) (*Handler, error) {
	h := &Handler{
		maxBytes: cfg.MaxEventBytes, timeout: 3 * cfg.RedisTimeout, check: cfg.Check, admit: cfg.Admit,
		large: semaphore.NewWeighted(max(largeBodies, cfg.MaxEventBytes)), log: log,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "sweepline", Subsystem: "broker", Name: "requests_total", Help: "Requests to the ingress, by status text.",
		}, []string{"namespace", "broker", "status"}),
		received: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "sweepline", Subsystem: "broker", Name: "events_received_total",
			Help: "Events at the ingress: stored, duplicate, full, unavailable.",
		}, []string{"namespace", "broker", "result"}),
	}
	h.Serve(nil)
	if reg == nil {
		return h, nil
	}
	return h, errors.Join(reg.Register(h.requests), reg.Register(h.received))
}

// Serve makes the Brokers those that are served.
func (h *Handler) Serve(brokers map[stream.Broker]*Broker) {
	for _, b := range brokers {
		b.bind(h)
	}
	h.brokers.Store(&brokers)
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	transport.LimitBodyTime(w, r)
	path := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/"), "/") // some proxies append a slash
	namespace, name, ok := strings.Cut(path, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		refuse(w, http.StatusNotFound, "events are posted to /{namespace}/{broker}")
		return
	}
	b := (*h.brokers.Load())[stream.Broker{Namespace: namespace, Name: name}]
	if b == nil {
		refuse(w, http.StatusNotFound, "no such broker")
		return
	}
	switch r.Method {
	case http.MethodPost:
	case http.MethodOptions:
		// Rule: CloudEvents "HTTP 1.1 Web Hooks for Event Delivery", 4.2, as Knative's
		// ingress answers.
		w.Header().Set("Allow", "POST, OPTIONS")
		w.Header().Set("Webhook-Allowed-Origin", "*")
		w.Header().Set("Webhook-Allowed-Rate", "*")
		w.WriteHeader(http.StatusOK)
		return
	default:
		w.Header().Set("Allow", "POST, OPTIONS")
		refuse(w, http.StatusMethodNotAllowed, "method not allowed, use POST, OPTIONS")
		return
	}
	status, reason := h.accept(w, r, b)
	if status == http.StatusAccepted {
		b.accepted.Inc()
		w.WriteHeader(status)
		return
	}
	h.requests.WithLabelValues(namespace, name, http.StatusText(status)).Inc()
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	refuse(w, status, reason)
}

const (
	// smallBody is the largest event that everybody takes (CloudEvents, Size Limits);
	// a body of up to it needs no room.
	smallBody = 64 << 10
	// largeBodies is how much the larger bodies may have at once, from before they
	// are read until they are stored: what is made of them is a few times that.
	largeBodies = 24 << 20
)

// room waits until there is room for the request's body. done gives it back; it is
// nil where there is none in time.
func (h *Handler) room(r *http.Request) (done func()) {
	size := r.ContentLength
	if size < 0 {
		size = h.maxBytes
	}
	if size <= smallBody || size > h.maxBytes || handover.Handed(r) {
		return func() {}
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.timeout)
	defer cancel()
	if h.large.Acquire(ctx, size) != nil {
		return nil
	}
	return func() { h.large.Release(size) }
}

func (h *Handler) accept(w http.ResponseWriter, r *http.Request, b *Broker) (int, string) {
	sender, status, reason := h.admitted(w, r, b)
	if status != 0 {
		return status, reason
	}
	if !transport.Uncoded(r.Header) {
		return http.StatusUnsupportedMediaType, "content encodings are not supported"
	}
	done := h.room(r)
	if done == nil {
		return http.StatusServiceUnavailable, "too many large bodies at once"
	}
	defer done()
	messages, err := h.read(w, r)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge), errors.Is(err, handover.ErrTooLarge):
		return http.StatusRequestEntityTooLarge, "body is too large"
	case errors.Is(err, errUnreadable):
		return http.StatusBadRequest, "body cannot be read"
	case errors.Is(err, cloudevent.ErrUnsupported):
		return http.StatusUnsupportedMediaType, err.Error()
	case errors.Is(err, cloudevent.ErrTooMany), errors.Is(err, cloudevent.ErrTooLarge):
		return http.StatusRequestEntityTooLarge, err.Error()
	case err != nil:
		return http.StatusBadRequest, err.Error()
	}
	for _, m := range messages {
		if m.TTL == 0 {
			m.TTL = cloudevent.DefaultTTL
		} else {
			m.TTL--
		}
		if m.TTL <= 0 {
			return http.StatusBadRequest, cloudevent.TTLAttribute + " is used up"
		}
		if h.check != nil {
			if err := h.check(m.EventWithData()); err != nil {
				return http.StatusBadRequest, err.Error()
			}
		}
	}
	if !sender.allows(messages) {
		h.failed(r.Context(), b, sender.Sender, ErrForbidden)
		return http.StatusForbidden, ErrForbidden.Error()
	}
	// Not the request's own context: a client that goes away must not keep the
	// others of its group waiting, and its event is stored all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), h.timeout)
	defer cancel()
	if err := b.Publish(ctx, urgent(r.Header), messages); err != nil {
		h.failed(r.Context(), b, sender.Sender, err)
		switch {
		case errors.Is(err, stream.ErrFull):
			return http.StatusServiceUnavailable, "the broker is full: a subscriber is too far behind"
		case errors.Is(err, stream.ErrNoMemory):
			return http.StatusServiceUnavailable, "the broker is full: redis is out of memory"
		}
		return http.StatusServiceUnavailable, "the broker cannot store events now"
	}
	if sender.Sender != "" {
		h.log.DebugContext(r.Context(), "events accepted", "broker", b.name.String(), "sender", sender.Sender, "events", len(messages))
	}
	return http.StatusAccepted, ""
}

// errUnreadable is wrapped where the connection gave no whole body.
var errUnreadable = errors.New("read body")

// read returns the events of a request, whether they came as bytes or were handed
// over by a function of this process.
func (h *Handler) read(w http.ResponseWriter, r *http.Request) ([]*cloudevent.Message, error) {
	events, ok, err := handover.Events(r, h.maxBytes)
	switch {
	case err != nil:
		return nil, err
	case ok:
		return cloudevent.FromEvents(r.Header, events)
	}
	body, err := transport.ReadBody(w, r, h.maxBytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	return cloudevent.ParseHTTP(r.Header, body, true)
}

// failed logs at most once a second: an outage fails every request.
func (h *Handler) failed(ctx context.Context, b *Broker, sender string, err error) {
	now := time.Now().UnixNano()
	last := h.lastWarning.Load()
	if now-last < int64(time.Second) || !h.lastWarning.CompareAndSwap(last, now) {
		return
	}
	h.log.WarnContext(ctx, "events refused", "broker", b.name.String(), "sender", sender, "error", err)
}

// urgent reads the urgency of a Priority header; 3 is what requests have that name
// none.
func urgent(h http.Header) bool {
	for _, item := range strings.Split(h.Get("Priority"), ",") {
		if v, ok := strings.CutPrefix(strings.TrimSpace(item), "u="); ok {
			n, err := strconv.Atoi(v)
			return err == nil && n >= 0 && n < 3
		}
	}
	return false
}

// maxReason bounds what an answer tells of what is wrong.
const maxReason = 1 << 10

// refuse answers in the form of the functions' errors, which the broker does not know.
func refuse(w http.ResponseWriter, status int, reason string) {
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "") + "…"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// A client that has gone cannot be told.
	_ = json.NewEncoder(w).Encode(map[string]any{
		"error":     reason,
		"code":      strings.ReplaceAll(strings.ToLower(http.StatusText(status)), " ", "_"),
		"timestamp": rfc3339.Milli(time.Now()),
	})
}
