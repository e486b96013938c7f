package telemetry

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// Register adds a collector to reg and returns it, or returns the equal one
// that is there already: several functions in one process share one registry.
// It panics where reg holds another collector under that name, which is a
// mistake in the program.
func Register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	err := reg.Register(c)
	if err == nil {
		return c
	}
	var there prometheus.AlreadyRegisteredError
	if errors.As(err, &there) {
		if same, ok := there.ExistingCollector.(C); ok {
			return same
		}
	}
	panic(fmt.Errorf("register metric: %w", err))
}
