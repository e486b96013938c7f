package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/wait"
)

const (
	// attentionTimeout is how long a page waits to be told what is wrong. Then what
	// was known before has to do.
	attentionTimeout = 300 * time.Millisecond
	// failingAfter is the age of a Trigger's oldest event from which on attempts that
	// failed are worth telling: a single one is often over before one has read it.
	failingAfter = 10 * time.Second
	// failedCalls in a row mean that the trading API is not well, where nobody asks it.
	failedCalls = 3
)

// Trouble is one thing that an operator should look at.
type Trouble struct {
	// Text says what is wrong, in a few words.
	Text string
	// DeadLetters is how many there are, for the trouble that these are.
	DeadLetters int64
}

// attention remembers what is wrong, read once for all who look.
type attention struct {
	mu       sync.Mutex
	at       time.Time
	known    []Trouble
	reading  chan struct{} // closed when the read under way ends; nil if none is
	finished sync.WaitGroup
}

// Attention is what is wrong with the pipeline as a whole, the worst first. It is for
// operators: nobody else is told. api, which may be nil, asks the trading API.
func (s *Service) Attention(ctx context.Context, api func(context.Context) error) []Trouble {
	if !s.Operates(ctx) {
		return nil
	}
	a := &s.attention
	a.mu.Lock()
	if time.Since(a.at) < s.cfg.Refresh {
		defer a.mu.Unlock()
		return a.known
	}
	if a.reading == nil {
		a.reading = make(chan struct{})
		a.finished.Add(1)
		go s.readAttention(context.WithoutCancel(ctx), api)
	}
	reading := a.reading
	a.mu.Unlock()
	timer := time.NewTimer(attentionTimeout)
	defer timer.Stop()
	select {
	case <-reading:
	case <-timer.C:
	case <-ctx.Done():
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.known
}

func (s *Service) readAttention(ctx context.Context, api func(context.Context) error) {
	defer s.attention.finished.Done()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	found := s.troubles(ctx, api)
	s.attention.mu.Lock()
	defer s.attention.mu.Unlock()
	s.attention.at, s.attention.known = time.Now(), found
	close(s.attention.reading)
	s.attention.reading = nil
}

// troubles asks all parts at once.
func (s *Service) troubles(ctx context.Context, api func(context.Context) error) []Trouble {
	var parts [5][]Trouble
	var asked sync.WaitGroup
	for i, ask := range [len(parts)]func(context.Context) []Trouble{
		answers(s.Waits.Ping, "Redis is unavailable: no jobs are accepted"),
		answers(s.Store.Ping, "The job store does not answer: results and lists come later"),
		answers(api, "The trading API does not answer: sweeps wait"), s.waitTroubles, s.brokerTroubles,
	} {
		asked.Go(func() { parts[i] = ask(ctx) })
	}
	asked.Wait()
	return slices.Concat(parts[:]...)
}

// answers is the trouble that something does not answer. A nil ask is none.
func answers(ask func(context.Context) error, text string) func(context.Context) []Trouble {
	return func(ctx context.Context) []Trouble {
		if ask == nil {
			return nil
		}
		if err := ask(ctx); err != nil {
			slog.WarnContext(ctx, "dependency unavailable", "says", text, "error", err)
			return []Trouble{{Text: text}}
		}
		return nil
	}
}

func (s *Service) waitTroubles(ctx context.Context) []Trouble {
	if s.Slots == nil {
		return nil
	}
	n, err := s.Slots.Count(ctx)
	if err != nil {
		return nil // Redis, which is told already
	}
	return waitTroubles(n)
}

func waitTroubles(n wait.Counts) (found []Trouble) {
	if n.APIFailures >= failedCalls {
		found = append(found, Trouble{Text: fmt.Sprintf("The trading API failed %d calls in a row", n.APIFailures)})
	}
	if n.Overdue > 0 {
		found = append(found, Trouble{Text: numbered(n.Overdue, "job is", "jobs are") + " overdue: no supervisor handles them, or not fast enough"})
	}
	return found
}

func (s *Service) brokerTroubles(ctx context.Context) []Trouble {
	if s.Broker == nil {
		return nil
	}
	triggers, err := s.Broker.Triggers(ctx)
	if err != nil {
		return nil
	}
	return triggerTroubles(triggers)
}

func triggerTroubles(triggers []broker.TriggerInfo) (found []Trouble) {
	var dead int64
	for _, t := range triggers {
		dead += t.DeadLetters
		switch {
		case t.Paused:
			found = append(found, Trouble{Text: fmt.Sprintf("%s is paused: %s", t.Name, numbered(t.Lag+t.Pending+t.Retries, "event waits", "events wait"))})
		case Failing(t):
			found = append(found, Trouble{Text: fmt.Sprintf("%s fails: %s for another attempt", t.Name, numbered(t.Retries, "event waits", "events wait"))})
		}
	}
	if dead > 0 {
		found = append(found, Trouble{Text: numbered(dead, "dead letter", "dead letters"), DeadLetters: dead})
	}
	return found
}

// Failing reports whether a Trigger has events whose attempts fail, for longer than it
// takes one to be repeated.
func Failing(t broker.TriggerInfo) bool { return t.Retries > 0 && t.OldestAge >= failingAfter }

func numbered(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
