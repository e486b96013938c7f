package jobs

import (
	"context"
	"sync"
	"time"

	"github.com/zixly/sweepline/shared/broker"
)

// ratesCache holds what was read last: processes write it once a minute.
type ratesCache struct {
	mu   sync.Mutex // held while it is read, once for all who ask
	at   time.Time
	last []broker.Rates
}

// Rates tells what became of the deliveries of all brokers lately. It is for operators.
func (s *Service) Rates(ctx context.Context) ([]broker.Rates, error) {
	c := &s.rates
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := s.Now(); c.at.IsZero() || now.Sub(c.at) >= activityKept/4 {
		read, err := s.Broker.Rates(ctx, now)
		if err != nil {
			return nil, err
		}
		c.at, c.last = now, read
	}
	return c.last, nil
}
