package function

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/zixly/sweepline/shared/seal"
	"github.com/zixly/sweepline/shared/telemetry"
)

// warnEvery is how often a function says that it gets events of strangers.
const warnEvery = time.Minute

// Option changes a Handler.
type Option func(*guard)

// WithSeals gives the keys that events and replies are checked and sealed with. An
// EventFunction needs them.
func WithSeals(k *seal.Keys) Option { return func(g *guard) { g.seals = k } }

// guard keeps events that are not of this pipeline from a function: it checks the seal of
// each event before Handle sees it, and seals each reply. One is made with a Handler and
// used by all its requests at once.
type guard struct {
	name                string
	seals               *seal.Keys
	unsealed, forged    prometheus.Counter
	warned, sinceWarned atomic.Int64
	misplaced           atomic.Int64 // when it was last told of
}

func newGuard(name string, m Metrics, options []Option) *guard {
	g := &guard{name: name}
	for _, o := range options {
		o(g)
	}
	refused := telemetry.Register(m, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pipeline_events_refused_total", Help: "Events that are not of this pipeline: without a seal, or with a wrong one.",
	}, []string{"function", "reason"}))
	g.unsealed, g.forged = refused.WithLabelValues(name, "unsealed"), refused.WithLabelValues(name, "forged")
	return g
}

// foreign is the outcome of an event that is not of the pipeline. No retry mends it.
type foreign struct{ error }

func (f foreign) Unwrap() error { return f.error }

// check returns the outcome of an event that is not to be believed, nil for all
// others. It is counted, and told once in a while without a word of the event. What
// makes a dead letter of an event that did not come as one is taken off it.
func (g *guard) check(ctx context.Context, e *event.Event) error {
	err := g.seals.Check(e)
	if err == nil {
		if !IsDeadLetter(ctx) && strip(e) {
			now, before := time.Now().UnixNano(), g.misplaced.Load()
			if now-before >= int64(warnEvery) && g.misplaced.CompareAndSwap(before, now) {
				slog.WarnContext(ctx, "attributes of a dead letter ignored: not posted to "+DeadLetterPath, "step", g.name)
			}
		}
		return nil
	}
	if errors.Is(err, seal.ErrUnsealed) {
		g.unsealed.Inc()
	} else {
		g.forged.Inc()
	}
	n := g.sinceWarned.Add(1)
	now, before := time.Now().UnixNano(), g.warned.Load()
	if now-before >= int64(warnEvery) && g.warned.CompareAndSwap(before, now) {
		g.sinceWarned.Add(-n)
		slog.WarnContext(ctx, "events refused: missing or invalid seal", "step", g.name, "events", n, "error", err)
	}
	return foreign{cehttp.NewResult(http.StatusForbidden, "%w", err)}
}

// isForeign reports whether err is check's: it has been told.
func isForeign(err error) bool {
	var f foreign
	return errors.As(err, &f)
}
