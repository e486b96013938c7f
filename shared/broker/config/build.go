package config

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/broker/filter"
)

// Annotations of a Trigger that the Knative API has no field for.
const (
	// ParallelismAnnotation bounds concurrent deliveries in each process.
	ParallelismAnnotation = "sweepline.dev/parallelism"
	// OrderedAnnotation, "true", keeps the events of a partition key in order.
	OrderedAnnotation = "sweepline.dev/ordered"
	// BatchSizeAnnotation lets up to that many events be posted at once.
	BatchSizeAnnotation = "sweepline.dev/batch-size"
	// StartFromAnnotation is where a new Trigger begins: "earliest", an RFC 3339
	// time or a stream id.
	StartFromAnnotation = "sweepline.dev/start-from"
)

const (
	maxParallelism = 10_000
	maxBatchSize   = 1_000
)

func build(objects []object, opts Options) (broker.Set, error) {
	var set broker.Set
	var errs []error
	brokers := make(map[broker.Broker]*eventingv1.Broker)
	foreign := make(map[broker.Broker]bool)
	for _, o := range objects {
		if o.broker == nil {
			continue
		}
		b := broker.Broker{Namespace: opts.namespace(o.broker.Namespace), Name: o.broker.Name}
		if class := o.broker.Annotations[classAnnotation]; opts.Class != "" && class != "" && class != opts.Class {
			foreign[b] = true
			continue
		}
		if brokers[b] != nil {
			errs = append(errs, fmt.Errorf("%s: Broker %s: is defined twice", o.file, b))
			continue
		}
		brokers[b] = o.broker
		set.Brokers = append(set.Brokers, b)
		// A fault of the default is reported here, once, not on every Trigger.
		if _, err := delivery(o.broker.Spec.Delivery, b.Namespace, opts); err != nil {
			errs = append(errs, fmt.Errorf("%s: Broker %s: spec.delivery%w", o.file, b, err))
			o.broker.Spec.Delivery = nil
		}
	}
	seen := make(map[[2]string]bool)
	for _, o := range objects {
		if o.trigger == nil {
			continue
		}
		ns := opts.namespace(o.trigger.Namespace)
		where := fmt.Sprintf("%s: Trigger %s/%s", o.file, ns, o.trigger.Name)
		b := broker.Broker{Namespace: ns, Name: brokerName(o.trigger)}
		if foreign[b] {
			continue
		}
		owner := brokers[b]
		if owner == nil {
			errs = append(errs, fmt.Errorf("%s: spec.broker: there is no Broker %s", where, b))
			continue
		}
		if seen[[2]string{ns, o.trigger.Name}] {
			errs = append(errs, fmt.Errorf("%s: is defined twice", where))
			continue
		}
		seen[[2]string{ns, o.trigger.Name}] = true
		t, err := Trigger(o.trigger, owner, opts)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", where, err))
			continue
		}
		set.Triggers = append(set.Triggers, t)
	}
	return set, errors.Join(errs...)
}

func brokerName(t *eventingv1.Trigger) string {
	if t.Spec.BrokerRef != nil {
		return t.Spec.BrokerRef.Name
	}
	return t.Spec.Broker
}

// Trigger makes one Trigger of its YAML form. Any delivery option on the Trigger
// replaces all of the Broker's. The error names every wrong field.
func Trigger(t *eventingv1.Trigger, b *eventingv1.Broker, opts Options) (broker.Trigger, error) {
	ns := opts.namespace(t.Namespace)
	out := broker.Trigger{
		Namespace: ns, Name: t.Name, Broker: brokerName(t),
		FilterText: filter.Text(&t.Spec), StartFrom: t.Annotations[StartFromAnnotation],
	}
	var errs []error
	fail := func(field string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", field, err))
		}
	}
	var err error
	out.Filter, err = filter.Compile(&t.Spec)
	fail("spec", err)
	out.Subscriber, err = resolve(&t.Spec.Subscriber, ns, opts)
	fail("spec.subscriber", err)
	if certs := t.Spec.Subscriber.CACerts; certs != nil {
		out.CACerts = *certs
	}
	spec := t.Spec.Delivery
	deliveryNamespace := ns
	if spec == nil && b != nil {
		spec = b.Spec.Delivery
		deliveryNamespace = opts.namespace(b.Namespace)
	}
	out.Delivery, err = delivery(spec, deliveryNamespace, opts)
	if err != nil {
		errs = append(errs, fmt.Errorf("spec.delivery%w", err))
	}
	if spec != nil && spec.DeadLetterSink != nil && spec.DeadLetterSink.CACerts != nil {
		out.CACerts = strings.TrimPrefix(out.CACerts+"\n"+*spec.DeadLetterSink.CACerts, "\n")
	}
	out.Parallelism, err = annotatedInt(t, ParallelismAnnotation, maxParallelism)
	fail("metadata.annotations["+ParallelismAnnotation+"]", err)
	out.BatchSize, err = annotatedInt(t, BatchSizeAnnotation, maxBatchSize)
	fail("metadata.annotations["+BatchSizeAnnotation+"]", err)
	if v, ok := t.Annotations[OrderedAnnotation]; ok {
		out.Ordered, err = strconv.ParseBool(v)
		fail("metadata.annotations["+OrderedAnnotation+"]", err)
	}
	return out, errors.Join(errs...)
}

func annotatedInt(t *eventingv1.Trigger, name string, most int) (int, error) {
	v, ok := t.Annotations[name]
	if !ok {
		return 0, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > most {
		return 0, fmt.Errorf("%q is no number from 1 to %d", v, most)
	}
	return n, nil
}

// delivery reads a DeliverySpec. Its errors begin with the field, as ".retry: …".
func delivery(spec *eventingduckv1.DeliverySpec, namespace string, opts Options) (broker.Delivery, error) {
	var d broker.Delivery
	if spec == nil {
		return d, nil
	}
	var errs []string
	fail := func(field string, err error) {
		if err != nil {
			errs = append(errs, "."+field+": "+err.Error())
		}
	}
	duration := func(field string, s *string) time.Duration {
		if s == nil {
			return 0
		}
		v, err := parseDuration(*s)
		if err != nil {
			fail(field, fmt.Errorf("%q %w", *s, err))
		}
		return v
	}
	if spec.Retry != nil {
		d.Retry = int(*spec.Retry)
		if d.Retry < 0 {
			fail("retry", errors.New("must not be negative"))
		}
	}
	d.BackoffDelay = duration("backoffDelay", spec.BackoffDelay)
	d.Timeout = duration("timeout", spec.Timeout)
	if spec.Timeout != nil && d.Timeout == 0 && len(errs) == 0 {
		fail("timeout", errors.New("must be greater than 0"))
	}
	d.RetryAfterMax = duration("retryAfterMax", spec.RetryAfterMax)
	d.IgnoreRetryAfter = spec.RetryAfterMax != nil && d.RetryAfterMax == 0
	if spec.BackoffPolicy != nil {
		d.BackoffPolicy = broker.BackoffPolicy(*spec.BackoffPolicy)
		if d.BackoffPolicy != broker.BackoffLinear && d.BackoffPolicy != broker.BackoffExponential {
			fail("backoffPolicy", fmt.Errorf("%q is neither linear nor exponential", *spec.BackoffPolicy))
		}
	}
	if spec.Format != nil {
		d.Format = broker.Format(*spec.Format)
		if d.Format != broker.FormatBinary && d.Format != broker.FormatJSON {
			fail("format", fmt.Errorf("%q is neither json nor binary", *spec.Format))
		}
	}
	if spec.DeadLetterSink != nil {
		var err error
		d.DeadLetterSink, err = resolve(spec.DeadLetterSink, namespace, opts)
		fail("deadLetterSink", err)
	}
	if len(errs) > 0 {
		return d, errors.New(strings.Join(errs, "; "))
	}
	return d, nil
}

// resolve gives the URL of a Destination: its uri, or its ref's URL, against
// which a uri beside it is resolved.
func resolve(d *duckv1.Destination, namespace string, opts Options) (string, error) {
	if d.Ref == nil {
		if d.URI == nil {
			return "", errors.New("needs a uri or a ref")
		}
		return d.URI.String(), checkURI(d.URI.String())
	}
	if opts.Resolve == nil {
		return "", errors.New("ref: names cannot be resolved here, give a uri")
	}
	ref := Ref{APIVersion: d.Ref.APIVersion, Kind: d.Ref.Kind, Namespace: d.Ref.Namespace, Name: d.Ref.Name}
	if ref.Namespace == "" {
		ref.Namespace = namespace
	}
	base, err := opts.Resolve(ref)
	if err != nil {
		return "", fmt.Errorf("ref: %w", err)
	}
	if err := checkURI(base); err != nil {
		return "", fmt.Errorf("ref: %w", err)
	}
	if d.URI == nil {
		return base, nil
	}
	u, err := url.Parse(base)
	if err != nil {
		return "", fmt.Errorf("ref: %w", err)
	}
	return u.ResolveReference(d.URI.URL()).String(), nil
}
