package dispatch

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/zixly/sweepline/shared/broker/filter"
	"github.com/zixly/sweepline/shared/broker/stream"
	"github.com/zixly/sweepline/shared/transport"
)

// Trigger sends the events of one Broker that pass Filter to one subscriber.
type Trigger struct {
	Namespace string
	Name      string
	// Broker is the broker's name, in the Trigger's own namespace.
	Broker string
	// Subscriber is the absolute URL that events are posted to. One of a scheme that
	// cannot be posted to is taken; its events go to the dead letter sink.
	Subscriber string
	// CACerts are certificates, as PEM, that vouch for the subscriber or the dead
	// letter sink, beside those which the system trusts.
	CACerts string
	// Identity is who its deliveries come from, and Audience who the subscriber is, for
	// Config.Token; without an Audience they carry no token.
	Identity string
	Audience string
	// Filter says which events are delivered; nil means all.
	Filter *filter.Filter
	// Delivery is already merged with the Broker's own default.
	Delivery Delivery
	// Absence is how long attempts that met nobody (no connection, 502, 503, 504)
	// are repeated without counting against Delivery.Retry, backing off up to five
	// minutes. 0 counts them like others, as Knative does.
	Absence time.Duration
	// Parallelism bounds concurrent deliveries per process; 0 means
	// Config.Parallelism.
	Parallelism int
	// Ordered delivers the events of one partition key one after the other, in the
	// order they were stored in: a waiting retry holds back what follows it.
	Ordered bool
	// Hold delivers nothing: events wait in the queue until it is false again.
	Hold bool
	// BatchSize above 1 posts up to that many events at once in the CloudEvents
	// batch format. A subscriber that answers 207 gives an outcome for each.
	BatchSize int
	// StartFrom is where a new Trigger begins: empty for events from its
	// creation on, "earliest", an RFC 3339 time, or an entry id.
	StartFrom string
}

// BrokerOf names the Trigger's Broker.
func (t Trigger) BrokerOf() stream.Broker {
	return stream.Broker{Namespace: t.Namespace, Name: t.Broker}
}

// String is namespace/broker/name.
func (t Trigger) String() string { return t.Namespace + "/" + t.Broker + "/" + t.Name }

// same reports whether deliveries may go on unchanged.
func (t Trigger) same(o Trigger) bool {
	if t.Filter.String() != o.Filter.String() {
		return false
	}
	t.Filter, o.Filter = nil, nil
	return t == o
}

// Registration is what the Trigger's queue is registered with.
func (t Trigger) Registration() stream.Registration {
	return stream.Registration{
		Name: t.Name, StartFrom: t.StartFrom,
		Record: stream.Record{
			Subscriber: WithoutCredentials(t.Subscriber), Filter: t.Filter.String(),
			DeadLetterSink: WithoutCredentials(t.Delivery.DeadLetterSink), Ordered: t.Ordered,
		},
	}
}

// BackoffPolicy says how the wait grows from retry to retry.
type BackoffPolicy string

// The policies of Knative's DeliverySpec. Retry n (from 1) waits n × delay when
// linear, delay × 2^(n−1) when exponential.
const (
	BackoffLinear      BackoffPolicy = "linear"
	BackoffExponential BackoffPolicy = "exponential"
)

// Format is how an event is put on the wire to a subscriber.
type Format string

// The formats of Knative's DeliverySpec. The zero value means binary mode.
const (
	FormatBinary Format = "binary"
	FormatJSON   Format = "json"
)

// Delivery is Knative's DeliverySpec with its durations parsed. Its zero value
// makes one attempt, with the Config's timeout, and no dead letter sink.
type Delivery struct {
	// Retry is the number of retries: Retry + 1 attempts in all.
	Retry int
	// BackoffPolicy is exponential if empty.
	BackoffPolicy BackoffPolicy
	// BackoffDelay is the unit of the backoff; 0 retries at once.
	BackoffDelay time.Duration
	// Timeout bounds one attempt; 0 means Config.DeliveryTimeout.
	Timeout time.Duration
	// RetryAfterMax bounds an answered Retry-After; 0 means
	// Config.RetryAfterMax unless IgnoreRetryAfter is set.
	RetryAfterMax time.Duration
	// IgnoreRetryAfter is what retryAfterMax: PT0S asks for.
	IgnoreRetryAfter bool
	// DeadLetterSink is the URL that undeliverable events are posted to.
	DeadLetterSink string
	// DeadLetterSinkAudience is as Trigger.Audience.
	DeadLetterSinkAudience string
	Format                 Format
}

// Validate names every broken rule at once.
func (t Trigger) Validate() error {
	errs := []error{
		stream.CheckName("namespace", t.Namespace), stream.CheckName("name", t.Name), stream.CheckName("broker", t.Broker),
		checkTarget("subscriber", t.Subscriber),
	}
	if t.Delivery.DeadLetterSink != "" {
		errs = append(errs, checkTarget("deadLetterSink", t.Delivery.DeadLetterSink))
	}
	if _, err := transport.Trust(t.CACerts); err != nil {
		errs = append(errs, fmt.Errorf("CACerts: %w", err))
	}
	if t.Delivery.Retry < 0 {
		errs = append(errs, errors.New("retry: must not be negative"))
	}
	if t.Absence < 0 {
		errs = append(errs, errors.New("absence: must not be negative"))
	}
	if t.StartFrom != "" {
		if _, err := stream.StartID(t.StartFrom); err != nil {
			errs = append(errs, fmt.Errorf("startFrom: %w", err))
		}
	}
	return errors.Join(errs...)
}

func checkTarget(field, s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	if u.Scheme == "" || u.Host == "" {
		return fmt.Errorf("%s: %q must be an absolute URL", field, s)
	}
	return nil
}
