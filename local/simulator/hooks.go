package simulator

import (
	"context"
	"fmt"
	"maps"
	"time"
)

// Stats is what the simulator has seen. Counters never fall.
type Stats struct {
	// Submissions counts accepted sweeps, those taken up from Config.StateDir
	// included.
	Submissions int64
	// InFlight is the sweeps submitted and not ended: running and pending.
	InFlight int
	// MaxSeen is the highest InFlight so far: what a limit of concurrent sweeps
	// is checked against.
	MaxSeen int
	// Completed, Failed and Cancelled count ended sweeps.
	Completed, Failed, Cancelled int64
	// CallbacksSent counts webhook requests made, CallbacksLost those that were
	// dropped on purpose, CallbacksRefused those not answered with a 2xx.
	CallbacksSent, CallbacksLost, CallbacksRefused int64
	// Requests counts all calls but /health.
	Requests int64
	// Throttled counts calls answered with 429 for one of the API's limits.
	Throttled int64
	// FastPolls counts status calls less than a second after the one before it
	// for the same job: the API asks its clients not to.
	FastPolls int64
}

// Stats returns the counters as they stand.
func (s *Simulator) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// SubmissionsByURL tells how many sweeps were accepted for each webhook_url:
// more than one means that a caller submitted the same job twice.
func (s *Simulator) SubmissionsByURL() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.byURL)
}

// SetDown makes every call, /health too, answer 503 until it is set to false.
// Sweeps that run go on.
func (s *Simulator) SetDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

type refusal struct {
	status     int
	retryAfter time.Duration
}

// RefuseNext answers the next n calls (but /health) with status, and with
// Retry-After where retryAfter is at least a second.
func (s *Simulator) RefuseNext(n, status int, retryAfter time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		s.refusals = append(s.refusals, refusal{status, retryAfter})
	}
}

// CutNextAnswers accepts the next n submissions and cuts their connections
// before the answer.
func (s *Simulator) CutNextAnswers(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cutAnswers += n
}

// Idle waits until no sweep is in flight and no webhook is under way.
func (s *Simulator) Idle(ctx context.Context) error {
	return s.await(ctx, func() bool { return s.stats.InFlight == 0 && s.webhooks == 0 })
}

// Running waits until at least n sweeps run and are computed, so that only time
// stands between them and their end. It is for tests that move a ManualClock.
func (s *Simulator) Running(ctx context.Context, n int) error {
	return s.await(ctx, func() bool {
		ready := 0
		for _, j := range s.order {
			if j.status == running && j.computed {
				ready++
			}
		}
		return ready >= n
	})
}

// Ended waits until n sweeps have ended since New, whatever their end.
func (s *Simulator) Ended(ctx context.Context, n int) error {
	return s.await(ctx, func() bool {
		return s.stats.Completed+s.stats.Failed+s.stats.Cancelled >= int64(n)
	})
}

func (s *Simulator) await(ctx context.Context, ok func() bool) error {
	for {
		s.mu.Lock()
		met, changed := ok(), s.changed
		s.mu.Unlock()
		if met {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for the simulator: %w", ctx.Err())
		}
	}
}
