package trading

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Pacer counts calls against the API's limit, over all processes: wait.Waits.
type Pacer interface {
	// Pace returns when one call may be made.
	Pace(ctx context.Context) error
}

// Open makes the client of a process of the pipeline, and is the only way to one:
// whatever it calls is counted, by p or as Paid. It makes no connection.
func Open(cfg Config, p Pacer, reg prometheus.Registerer) (*Client, error) {
	if p == nil || reg == nil {
		return nil, errors.New("trading: pacer and registry are required")
	}
	return New(cfg, WithMetrics(reg), WithPace(p.Pace))
}
