package broker

import (
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/zixly/sweepline/shared/broker/dispatch"
	"github.com/zixly/sweepline/shared/broker/ingress"
	"github.com/zixly/sweepline/shared/broker/inspect"
	"github.com/zixly/sweepline/shared/broker/stream"
)

// What a Set is made of, and what an Inspector shows; each is defined where it is
// used.
type (
	Broker          = stream.Broker
	Trigger         = dispatch.Trigger
	Delivery        = dispatch.Delivery
	BackoffPolicy   = dispatch.BackoffPolicy
	Format          = dispatch.Format
	Admit           = ingress.Admit
	Admission       = ingress.Admission
	Inspector       = inspect.Inspector
	TriggerInfo     = inspect.TriggerInfo
	StreamInfo      = inspect.StreamInfo
	Rates           = inspect.Rates
	Rate            = stream.Rate
	Retry           = inspect.Retry
	DeadLetter      = inspect.DeadLetter
	DeadLetterQuery = inspect.DeadLetterQuery
)

// The values of BackoffPolicy and Format.
const (
	BackoffLinear      = dispatch.BackoffLinear
	BackoffExponential = dispatch.BackoffExponential
	FormatBinary       = dispatch.FormatBinary
	FormatJSON         = dispatch.FormatJSON
)

var (
	// ErrNotFound is returned for a dead letter, Trigger or Broker that is not there
	// (any more).
	ErrNotFound = stream.ErrNotFound
	// ErrOutdated is wrapped by Apply where a later version of the Set is in force.
	ErrOutdated = errors.New("a later configuration is in force")
	// ErrLayout is wrapped where Redis holds data of another version of the layout.
	ErrLayout = stream.ErrLayout
	// ErrMisnamed is wrapped by Check where the address is of another kind than the
	// server.
	ErrMisnamed = stream.ErrMisnamed
	// ErrUnauthenticated and ErrForbidden are wrapped by an Admit.
	ErrUnauthenticated = ingress.ErrUnauthenticated
	ErrForbidden       = ingress.ErrForbidden
	// ErrNotDurable is wrapped by Check where Redis may lose what it acknowledged.
	ErrNotDurable = stream.ErrNotDurable
)

// NewInspector makes an Inspector of brokers with the default key prefix. The client
// stays its owner's.
func NewInspector(client redis.UniversalClient) (*Inspector, error) {
	return inspect.New(client, DefaultConfig().KeyPrefix)
}

// ValidPosition reports whether s has the form of a DeadLetter's Position.
func ValidPosition(s string) bool { return inspect.ValidPosition(s) }

// Set is everything a Server is to serve: it is applied as a whole.
type Set struct {
	// Version orders the Sets of a Broker: one that is lower than what another
	// process has applied is not taken. 0 is a Set without a version, which always is.
	Version  int64
	Brokers  []Broker
	Triggers []Trigger
	// Invalid names Triggers that are there but cannot be read now. Their queues,
	// and what they were before, stay.
	Invalid []InvalidTrigger
	// Partial says that some of the configuration could not be read: what is
	// missing from the set may be defined all the same, and keeps what it has.
	Partial bool
	// Problems are what is wrong with the configuration besides invalid Triggers,
	// each with the file and object it is about.
	Problems []string
}

// InvalidTrigger is a Trigger that cannot be served as it is.
type InvalidTrigger struct {
	Namespace, Broker, Name string
	// Problem says what is wrong, naming the field.
	Problem string
}

func (t InvalidTrigger) String() string { return t.Namespace + "/" + t.Broker + "/" + t.Name }

// check moves Triggers that are not valid to Invalid, so that each stands alone. An
// invalid Broker is an error.
func (s Set) check() (Set, error) {
	var errs []error
	brokers := make(map[Broker]bool, len(s.Brokers))
	for _, b := range s.Brokers {
		if err := b.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("broker %s: %w", b, err))
		}
		if brokers[b] {
			errs = append(errs, fmt.Errorf("broker %s: defined twice", b))
		}
		brokers[b] = true
	}
	out := s
	out.Invalid, out.Triggers = s.Invalid[:len(s.Invalid):len(s.Invalid)], nil
	seen := make(map[string]bool, len(s.Triggers))
	for _, t := range s.Triggers {
		err := t.Validate()
		if !brokers[t.BrokerOf()] {
			err = errors.Join(err, fmt.Errorf("broker %s is not defined", t.BrokerOf()))
		}
		if seen[t.String()] {
			err = errors.Join(err, errors.New("defined twice"))
		}
		seen[t.String()] = true
		if err != nil {
			out.Invalid = append(out.Invalid, InvalidTrigger{t.Namespace, t.Broker, t.Name, err.Error()})
			continue
		}
		out.Triggers = append(out.Triggers, t)
	}
	return out, errors.Join(errs...)
}
