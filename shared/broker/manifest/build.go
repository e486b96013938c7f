package manifest

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/broker/filter"
	"github.com/zixly/sweepline/shared/transport"
)

// classAnnotation says which controller a Broker belongs to.
const classAnnotation = "eventing.knative.dev/broker.class"

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
	// HoldAnnotation, "true", keeps the Trigger's events and delivers none of them.
	HoldAnnotation = "sweepline.dev/hold"
	// AbsenceAnnotation is an ISO 8601 duration, such as P1D: how long attempts
	// that met nobody are repeated without being counted against retry.
	AbsenceAnnotation = "sweepline.dev/absence"
)

const (
	maxParallelism = 10_000
	maxBatchSize   = 1_000
)

// builder makes a Set of what was read.
type builder struct {
	opts    Options
	set     broker.Set
	brokers map[broker.Broker]object
	foreign map[broker.Broker]bool
}

func build(objects []object, unreadable []error, opts Options) broker.Set {
	b := builder{opts: opts, brokers: make(map[broker.Broker]object), foreign: make(map[broker.Broker]bool)}
	b.set.Partial = len(objects) == 0 // an empty folder is one that is not mounted
	for _, err := range unreadable {
		b.set.Partial = true
		b.problem("%s", line(err))
	}
	for _, o := range objects {
		if o.broker != nil {
			b.addBroker(o)
		}
	}
	seen := make(map[[2]string]bool)
	for _, o := range objects {
		if o.trigger != nil {
			b.addTrigger(o, seen)
		}
	}
	return b.set
}

func (b *builder) problem(format string, args ...any) {
	b.set.Problems = append(b.set.Problems, fmt.Sprintf(format, args...))
}

// line writes joined errors on one.
func line(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

func (b *builder) addBroker(o object) {
	name := broker.Broker{Namespace: b.opts.namespace(o.broker.Metadata.Namespace), Name: o.broker.Metadata.Name}
	if class := o.broker.Metadata.Annotations[classAnnotation]; b.opts.Class != "" && class != "" && class != b.opts.Class {
		b.foreign[name] = true
		return
	}
	if err := name.Validate(); err != nil {
		b.problem("%s: Broker %s: metadata: %s", o.file, name, line(err))
		return
	}
	if _, twice := b.brokers[name]; twice {
		b.problem("%s: Broker %s: defined twice, this one is ignored", o.file, name)
		return
	}
	_, err := deliveryOf(o.broker.Spec.Delivery, name.Namespace, b.opts)
	o.problem = errors.Join(o.problem, err)
	if o.problem != nil {
		b.problem("%s: Broker %s: %s", o.file, name, line(o.problem))
	}
	b.brokers[name] = o
	b.set.Brokers = append(b.set.Brokers, name)
}

func (b *builder) addTrigger(o object, seen map[[2]string]bool) {
	t := o.trigger
	name := broker.Broker{Namespace: b.opts.namespace(t.Metadata.Namespace), Name: t.Spec.brokerName()}
	if b.foreign[name] {
		return
	}
	key := [2]string{name.Namespace, t.Metadata.Name}
	if seen[key] {
		b.problem("%s: Trigger %s/%s: defined twice, this one is ignored", o.file, key[0], key[1])
		return
	}
	seen[key] = true
	owner, found := b.brokers[name]
	errs := []error{o.problem}
	switch {
	case !found && name.Name != "":
		errs = append(errs, fmt.Errorf("spec.broker: there is no Broker %s", name))
	case found && owner.problem != nil && t.Spec.Delivery == nil:
		errs = append(errs, fmt.Errorf("needs the delivery of Broker %s, which is invalid", name))
		owner.broker = nil
	}
	trigger, err := Build(t, owner.broker, b.opts)
	if err := errors.Join(append(errs, err)...); err != nil {
		b.set.Invalid = append(b.set.Invalid, broker.InvalidTrigger{
			Namespace: key[0], Broker: name.Name, Name: key[1], Problem: o.file + ": " + line(err),
		})
		return
	}
	b.set.Triggers = append(b.set.Triggers, trigger)
}

func (s TriggerSpec) brokerName() string {
	if s.BrokerRef != nil {
		return s.BrokerRef.Name
	}
	return s.Broker
}

// problems collects what is wrong, each by its field.
type problems []error

func (p *problems) add(field string, err error) {
	if err != nil {
		*p = append(*p, fmt.Errorf("%s: %w", field, err))
	}
}

func (p *problems) addf(field, format string, args ...any) { p.add(field, fmt.Errorf(format, args...)) }

// Build makes one Trigger of its YAML form and its Broker's, which may be nil. Any
// delivery option on the Trigger replaces all of the Broker's. The error names
// every wrong field.
func Build(t *Trigger, b *Broker, opts Options) (broker.Trigger, error) {
	ns := opts.namespace(t.Metadata.Namespace)
	out := broker.Trigger{
		Namespace: ns, Name: t.Metadata.Name, Broker: t.Spec.brokerName(),
		StartFrom: t.Metadata.Annotations[StartFromAnnotation],
		Identity:  t.Status.Auth.ServiceAccountName, Audience: t.Spec.Subscriber.Audience,
	}
	var p problems
	t.Spec.checkBroker(ns, &p)
	var err error
	if out.Filter, err = t.Spec.filter(); err != nil {
		p = append(p, err)
	}
	out.Subscriber, err = t.Spec.Subscriber.resolve(ns, opts, false)
	p.add("spec.subscriber", err)
	if certs := t.Spec.Subscriber.CACerts; certs != nil {
		out.CACerts = *certs
	}
	spec, deliveryNamespace := t.Spec.Delivery, ns
	if spec == nil && b != nil {
		spec, deliveryNamespace = b.Spec.Delivery, opts.namespace(b.Metadata.Namespace)
	}
	if out.Delivery, err = deliveryOf(spec, deliveryNamespace, opts); err != nil {
		p = append(p, err)
	}
	if spec != nil && spec.DeadLetterSink != nil && spec.DeadLetterSink.CACerts != nil {
		out.CACerts = strings.TrimPrefix(out.CACerts+"\n"+*spec.DeadLetterSink.CACerts, "\n")
	}
	annotations{t.Metadata.Annotations, &p}.into(&out)
	if len(p) == 0 {
		return out, out.Validate()
	}
	return out, errors.Join(p...)
}

func (s TriggerSpec) checkBroker(ns string, p *problems) {
	switch {
	case s.BrokerRef == nil && s.Broker == "":
		p.addf("spec.broker", "must name a Broker")
	case s.BrokerRef != nil && s.Broker != "":
		p.addf("spec.brokerRef", "must not stand beside broker")
	case s.BrokerRef != nil && s.BrokerRef.Namespace != "" && s.BrokerRef.Namespace != ns:
		p.addf("spec.brokerRef.namespace", "must be the Trigger's own: %s", ns)
	}
}

// filter reads both fields, of which Filters wins, so that a mistake in either is
// found.
func (s TriggerSpec) filter() (*filter.Filter, error) {
	var errs problems
	read := func(field string, raw []byte, first byte, what string) *filter.Filter {
		text := strings.TrimSpace(string(raw))
		if text == "" || text == "null" {
			return nil
		}
		if text[0] != first {
			errs.addf("spec."+field, "must be %s", what)
			return nil
		}
		f, err := filter.Parse(text)
		if err != nil {
			for _, problem := range strings.Split(err.Error(), "\n") {
				errs = append(errs, fmt.Errorf("spec.%s", problem))
			}
		}
		return f
	}
	attributes := read("filter.attributes", s.Filter.Attributes, '{', "an object of strings")
	filters := read("filters", s.Filters, '[', "an array of filters")
	if filters != nil {
		return filters, errors.Join(errs...)
	}
	return attributes, errors.Join(errs...)
}

// annotations are those of a Trigger and where their problems go.
type annotations struct {
	values map[string]string
	*problems
}

func (a annotations) into(t *broker.Trigger) {
	t.Parallelism = a.number(ParallelismAnnotation, maxParallelism)
	t.BatchSize = a.number(BatchSizeAnnotation, maxBatchSize)
	t.Ordered = a.boolean(OrderedAnnotation)
	t.Hold = a.boolean(HoldAnnotation)
	if v, ok := a.values[AbsenceAnnotation]; ok {
		var err error
		if t.Absence, err = parseDuration(v); err != nil {
			a.problem(AbsenceAnnotation, "%q %w", v, err)
		}
	}
}

func (a annotations) problem(name, format string, args ...any) {
	a.addf("metadata.annotations["+name+"]", format, args...)
}

func (a annotations) boolean(name string) bool {
	v, ok := a.values[name]
	if !ok {
		return false
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		a.problem(name, "%q must be true or false", v)
	}
	return b
}

func (a annotations) number(name string, most int) int {
	v, ok := a.values[name]
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > most {
		a.problem(name, "%q must be a number from 1 to %d", v, most)
	}
	return n
}

// deliveryOf reads a delivery spec. Its errors begin with the field.
func deliveryOf(spec *Delivery, namespace string, opts Options) (broker.Delivery, error) {
	var d broker.Delivery
	if spec == nil {
		return d, nil
	}
	var p problems
	duration := func(field string, s *string) time.Duration {
		if s == nil {
			return 0
		}
		v, err := parseDuration(*s)
		if err != nil {
			p.addf("spec.delivery."+field, "%q %w", *s, err)
		}
		return v
	}
	if spec.Retry != nil {
		d.Retry = int(*spec.Retry)
		if d.Retry < 0 {
			p.addf("spec.delivery.retry", "must not be negative")
		}
	}
	d.BackoffDelay = duration("backoffDelay", spec.BackoffDelay)
	before := len(p)
	d.Timeout = duration("timeout", spec.Timeout)
	if spec.Timeout != nil && d.Timeout == 0 && len(p) == before {
		p.addf("spec.delivery.timeout", "must be greater than 0")
	}
	d.RetryAfterMax = duration("retryAfterMax", spec.RetryAfterMax)
	d.IgnoreRetryAfter = spec.RetryAfterMax != nil && d.RetryAfterMax == 0
	if spec.BackoffPolicy != nil {
		d.BackoffPolicy = broker.BackoffPolicy(*spec.BackoffPolicy)
		if d.BackoffPolicy != broker.BackoffLinear && d.BackoffPolicy != broker.BackoffExponential {
			p.addf("spec.delivery.backoffPolicy", "%q must be linear or exponential", *spec.BackoffPolicy)
		}
	}
	if spec.Format != nil {
		d.Format = broker.Format(*spec.Format)
		if d.Format != broker.FormatBinary && d.Format != broker.FormatJSON {
			p.addf("spec.delivery.format", "%q must be json or binary", *spec.Format)
		}
	}
	if spec.DeadLetterSink != nil {
		var err error
		d.DeadLetterSinkAudience = spec.DeadLetterSink.Audience
		d.DeadLetterSink, err = spec.DeadLetterSink.resolve(namespace, opts, true)
		p.add("spec.delivery.deadLetterSink", err)
	}
	return d, errors.Join(p...)
}

// resolve gives the URL of a Destination: its uri, or its ref's URL, against which
// a uri beside it is resolved. With post, it must be one that can be posted to.
func (d *Destination) resolve(namespace string, opts Options, post bool) (string, error) {
	if d.Ref == nil {
		if d.URI == nil {
			return "", errors.New("must have a uri or a ref")
		}
		return *d.URI, checkURI(*d.URI, post)
	}
	if err := d.Ref.check(); err != nil {
		return "", fmt.Errorf("ref: %w", err)
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
	if err := checkURI(base, true); err != nil {
		return "", fmt.Errorf("ref: %w", err)
	}
	if d.URI == nil {
		return base, nil
	}
	u, err := url.Parse(base)
	if err != nil {
		return "", fmt.Errorf("ref: %w", err)
	}
	path, err := url.Parse(*d.URI)
	switch {
	case err != nil:
		return "", fmt.Errorf("uri: %w", err)
	case path.IsAbs():
		return "", errors.New("uri: must be relative beside a ref")
	}
	return u.ResolveReference(path).String(), nil
}

func (r *Reference) check() error {
	var missing []string
	for _, f := range []struct{ name, value string }{{"apiVersion", r.APIVersion}, {"kind", r.Kind}, {"name", r.Name}} {
		if f.value == "" {
			missing = append(missing, f.name)
		}
	}
	switch {
	case r.Group != "":
		return errors.New("group: must not be set, apiVersion names it")
	case missing != nil:
		return fmt.Errorf("must have %s", strings.Join(missing, ", "))
	}
	return nil
}

// checkURI accepts any absolute URL with a host or, with post, those that events
// can be posted to.
func checkURI(s string, post bool) error {
	if post {
		if _, err := transport.ParseURL(s); err != nil {
			return fmt.Errorf("%q %w", s, err)
		}
		return nil
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return err
	case u.Scheme == "" || u.Host == "":
		return fmt.Errorf("%q must be an absolute URL with a host", s)
	}
	return nil
}
