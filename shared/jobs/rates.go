package jobs

import (
	"context"
	"time"

	"github.com/zixly/sweepline/shared/broker"
)

// ratesKept is for how long what was read is shown: processes write it once a minute.
const ratesKept = 15 * time.Second

// Rates returns what became of the deliveries of all brokers lately. It is for operators.
func (s *Service) Rates(ctx context.Context) ([]broker.Rates, error) {
	return s.rates.get(ctx, "", s.Now, ratesKept, func(ctx context.Context) ([]broker.Rates, error) {
		return s.Broker.Rates(ctx, s.Now())
	})
}
