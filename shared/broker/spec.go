package broker

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/zixly/sweepline/shared/broker/filter"
	"github.com/zixly/sweepline/shared/connect"
)

// Set is everything a Server is to serve: it is applied as a whole.
type Set struct {
	Brokers  []Broker
	Triggers []Trigger
	// Version grows with every change of the set, whoever applies it; 0 means that
	// it is not known.
	Version int64
	// Invalid are Triggers that are defined but cannot be delivered to: they keep
	// their queue and their registration until they are corrected or deleted.
	Invalid []InvalidTrigger
	// Partial says that some of the configuration could not be read: a Broker or
	// Trigger that is missing from the set may be defined all the same, and keeps
	// what it has.
	Partial bool
	// Problems are what is wrong with the configuration besides invalid Triggers,
	// each with the file and object it is about.
	Problems []string
}

// InvalidTrigger is a Trigger that stands in the configuration and is not valid.
type InvalidTrigger struct {
	Namespace, Broker, Name string
	// Problem names the fields that are wrong, and the file.
	Problem string
}

// Broker names one event mesh. Its ingress is POST /{Namespace}/{Name}.
type Broker struct {
	Namespace string
	Name      string
}

func (b Broker) String() string { return b.Namespace + "/" + b.Name }

// Trigger sends the events of one Broker that pass Filter to one subscriber.
type Trigger struct {
	Namespace string
	Name      string
	// Broker is the broker's name, in the Trigger's own namespace.
	Broker string
	// Subscriber is the absolute URL that events are posted to. Attempts fail where
	// its scheme is neither http nor https.
	Subscriber string
	// CACerts are certificates, as PEM, that vouch for the subscriber or the dead
	// letter sink, beside those which the system trusts.
	CACerts string
	// Filter says which events are delivered; nil means all.
	Filter *filter.Filter
	// Delivery is already merged with the Broker's own default.
	Delivery Delivery
	// Parallelism bounds concurrent deliveries per process; 0 means
	// Config.Parallelism.
	Parallelism int
	// Ordered delivers the events of one partition key one after the other, in
	// stream order: a waiting retry holds back what follows it under its key.
	Ordered bool
	// BatchSize above 1 posts up to that many events at once in the CloudEvents
	// batch format, all or nothing; a refused batch is delivered event by event.
	BatchSize int
	// StartFrom is where a new Trigger begins: empty for events from its
	// creation on, "earliest", an RFC 3339 time, or a stream id.
	StartFrom string
	// Absence is how long attempts that met nobody (no connection, or an answer of
	// 502, 503 or 504) are repeated without being counted against Delivery.Retry,
	// from the first of them on; 0 counts them as Knative does.
	Absence time.Duration
}

func (t Trigger) broker() Broker { return Broker{Namespace: t.Namespace, Name: t.Broker} }

// same reports whether a running Trigger may go on unchanged.
func (t Trigger) same(o Trigger) bool {
	if t.Filter.String() != o.Filter.String() {
		return false
	}
	t.Filter, o.Filter = nil, nil
	return t == o
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
	Format         Format
}

// validate names every broken rule of the set at once.
func (s Set) validate() error {
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
	seen := make(map[triggerKey]bool, len(s.Triggers))
	for _, t := range s.Triggers {
		where := "trigger " + t.Namespace + "/" + t.Name
		if err := t.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", where, err))
		}
		if !brokers[t.broker()] {
			errs = append(errs, fmt.Errorf("%s: broker %s is not defined", where, t.broker()))
		}
		if seen[t.key()] {
			errs = append(errs, fmt.Errorf("%s: defined twice", where))
		}
		seen[t.key()] = true
	}
	return errors.Join(errs...)
}

// Validate reports every broken rule of the Broker's names.
func (b Broker) Validate() error {
	return errors.Join(checkName("namespace", b.Namespace), checkName("name", b.Name))
}

// Validate reports every broken rule of the Trigger by itself: Apply refuses a set
// that holds an invalid one.
func (t Trigger) Validate() error {
	errs := []error{
		checkName("namespace", t.Namespace), checkName("name", t.Name), checkName("broker", t.Broker),
		checkSubscriber(t.Subscriber),
	}
	if t.Delivery.DeadLetterSink != "" {
		errs = append(errs, checkURL("deadLetterSink", t.Delivery.DeadLetterSink))
	}
	if _, err := connect.Trust(t.CACerts); err != nil {
		errs = append(errs, fmt.Errorf("CACerts: %w", err))
	}
	if t.Delivery.Retry < 0 {
		errs = append(errs, errors.New("retry: must not be negative"))
	}
	if t.Absence < 0 {
		errs = append(errs, errors.New("absence: must not be negative"))
	}
	if _, err := startID(t.StartFrom); err != nil {
		errs = append(errs, fmt.Errorf("startFrom: %w", err))
	}
	return errors.Join(errs...)
}

// checkName accepts what Kubernetes accepts for object names: letters that
// need no escaping in a URL or a Redis key.
func checkName(field, s string) error {
	if s == "" || len(s) > 253 {
		return fmt.Errorf("%s: must have 1 to 253 characters", field)
	}
	if i := strings.IndexFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.'
	}); i >= 0 {
		return fmt.Errorf("%s: %q may hold only a–z, 0–9, '-' and '.'", field, s)
	}
	return nil
}

// checkSubscriber accepts an address that nothing can be posted to, too: Knative
// does, and has its events end in the dead letter sink.
func checkSubscriber(s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return fmt.Errorf("subscriber: %w", err)
	}
	if u.Scheme == "" || u.Host == "" {
		return fmt.Errorf("subscriber: %q must be an absolute URL with a host", s)
	}
	return nil
}

func checkURL(field, s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return fmt.Errorf("%s: %q must be an absolute http or https URL", field, s)
	}
	return nil
}

// triggerKey identifies a Trigger among all that a Server runs.
type triggerKey struct{ namespace, broker, name string }

func (t Trigger) key() triggerKey { return triggerKey{t.Namespace, t.Broker, t.Name} }
