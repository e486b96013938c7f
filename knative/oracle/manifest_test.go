package oracle

import (
	"context"
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rickb777/date/period"
	"github.com/stretchr/testify/require"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/eventing/pkg/apis/feature"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"
	"knative.dev/pkg/ptr"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/broker/manifest"
)

// whole is a value of the type's JSON with every field of it. Below status nothing
// is read, below what does its own JSON nothing is known.
func whole(t reflect.Type, depth int) any {
	if depth == 0 {
		return nil
	}
	if t.Implements(reflect.TypeFor[json.Marshaler]()) || reflect.PointerTo(t).Implements(reflect.TypeFor[json.Marshaler]()) {
		return "x"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return whole(t.Elem(), depth)
	case reflect.Slice:
		return []any{whole(t.Elem(), depth-1)}
	case reflect.Map:
		return map[string]any{"x": whole(t.Elem(), depth-1)}
	case reflect.Struct:
		object := map[string]any{}
		for i := range t.NumField() {
			name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			value := whole(t.Field(i).Type, depth-1)
			if inner, ok := value.(map[string]any); ok && (strings.Contains(options, "inline") || name == "") {
				for k, v := range inner {
					object[k] = v
				}
			} else if name != "-" {
				object[name] = value
			}
		}
		return object
	case reflect.Int32, reflect.Int64:
		return 1
	}
	return "x"
}

// When Knative adds a field, it is known here or this fails.
func TestEveryFieldOfKnativeIsKnown(t *testing.T) {
	t.Parallel()
	for kind, read := range map[reflect.Type]func([]byte) error{
		reflect.TypeFor[eventingv1.Broker]():  func(text []byte) error { _, err := manifest.ReadBroker(text); return err },
		reflect.TypeFor[eventingv1.Trigger](): func(text []byte) error { _, err := manifest.ReadTrigger(text); return err },
	} {
		object := whole(kind, 10).(map[string]any)
		spec := object["spec"].(map[string]any)
		require.Contains(t, spec, "delivery")
		require.Contains(t, spec["delivery"], "retryAfterMax")
		require.Contains(t, object["metadata"], "managedFields")
		text, err := json.Marshal(object)
		require.NoError(t, err)
		if err := read(text); err != nil {
			require.NotContains(t, err.Error(), "unknown field")
		}
		spec["unheard"] = 1
		text, err = json.Marshal(object)
		require.NoError(t, err)
		require.ErrorContains(t, read(text), "spec.unheard: unknown field")
	}
}

// features are on as far as the broker has what they allow.
func features() context.Context {
	return feature.ToContext(quiet(), feature.Flags{feature.DeliveryTimeout: feature.Enabled, feature.DeliveryRetryAfter: feature.Enabled})
}

// build reads a Trigger of Knative's as the broker does, from YAML.
func build(t require.TestingT, trigger *eventingv1.Trigger) (broker.Trigger, error) {
	text, err := yaml.Marshal(trigger)
	require.NoError(t, err)
	read, err := manifest.ReadTrigger(text)
	if err != nil {
		return broker.Trigger{}, err
	}
	return manifest.Build(read, nil, manifest.Options{Resolve: func(r manifest.Ref) (string, error) {
		return "http://" + r.Name + "." + r.Namespace + "/", nil
	}})
}

func aTrigger(change func(*eventingv1.Trigger)) *eventingv1.Trigger {
	var t eventingv1.Trigger
	t.APIVersion, t.Kind = "eventing.knative.dev/v1", "Trigger"
	t.Namespace, t.Name = "shop", "t"
	t.Spec = eventingv1.TriggerSpec{Broker: "main", Subscriber: duckv1.Destination{URI: apis.HTTP("sub.example.com")}}
	change(&t)
	return &t
}

func uri(s string) *apis.URL {
	u, err := apis.ParseURL(s)
	if err != nil {
		panic(err)
	}
	return u
}

func reference(apiVersion, kind, name string) *duckv1.KReference {
	return &duckv1.KReference{APIVersion: apiVersion, Kind: kind, Name: name}
}

// manifestDifference is one on purpose: an example, and to which Triggers it may be
// the explanation.
type manifestDifference struct {
	name, reason  string
	trigger       *eventingv1.Trigger
	knative, ours bool // accepts
	applies       func(*eventingv1.Trigger) bool
}

var manifestDifferences = []manifestDifference{
	{
		name: "a dead letter sink of any scheme", reason: "a letter that cannot be posted would be retried for ever; without a sink it is kept and can be redriven",
		trigger: aTrigger(func(t *eventingv1.Trigger) {
			t.Spec.Delivery = &eventingduckv1.DeliverySpec{DeadLetterSink: &duckv1.Destination{URI: uri("bad://sink")}}
		}),
		knative: true, ours: false,
		applies: func(t *eventingv1.Trigger) bool {
			d := t.Spec.Delivery
			return d != nil && d.DeadLetterSink != nil && d.DeadLetterSink.Ref == nil && d.DeadLetterSink.URI != nil && !strings.HasPrefix(d.DeadLetterSink.URI.Scheme, "http")
		},
	},
	{
		name: "a duration with a sign, or a T and nothing after it", reason: "not ISO 8601; Knative takes a negative one and does not wait",
		trigger: aTrigger(func(t *eventingv1.Trigger) {
			t.Spec.Delivery = &eventingduckv1.DeliverySpec{BackoffDelay: ptr.String("-PT1S")}
		}),
		knative: true, ours: false,
		applies: func(t *eventingv1.Trigger) bool {
			return someDuration(t, func(s string) bool { return strings.ContainsAny(s, "+-") || strings.HasSuffix(s, "T") })
		},
	},
	{
		name: "less than a tenth of a second", reason: "Knative cuts what is finer, here to nothing",
		trigger: aTrigger(func(t *eventingv1.Trigger) {
			t.Spec.Delivery = &eventingduckv1.DeliverySpec{Timeout: ptr.String("PT0.05S")}
		}),
		knative: false, ours: true,
		applies: func(t *eventingv1.Trigger) bool { return someDuration(t, finer) },
	},
	{
		name: "a reference beside a uri", reason: "Knative looks at its fields only where it stands alone; without them it cannot be resolved",
		trigger: aTrigger(func(t *eventingv1.Trigger) {
			t.Spec.Subscriber = duckv1.Destination{Ref: reference("", "Service", "a"), URI: uri("/path")}
		}),
		knative: true, ours: false,
		applies: func(t *eventingv1.Trigger) bool {
			return someDestination(t, func(d duckv1.Destination) bool { return d.Ref != nil && d.URI != nil })
		},
	},
	{
		name: "certificates beside a reference", reason: "Knative does not look at them there; nothing could be sent with them",
		trigger: aTrigger(func(t *eventingv1.Trigger) {
			t.Spec.Subscriber = duckv1.Destination{Ref: reference("v1", "Service", "a"), CACerts: ptr.String("nonsense")}
		}),
		knative: true, ours: false,
		applies: func(t *eventingv1.Trigger) bool {
			return someDestination(t, func(d duckv1.Destination) bool { return d.CACerts != nil && d.Ref != nil })
		},
	},
	{
		name: "the Trigger's own namespace in brokerRef", reason: "Knative refuses any unless cross-namespace links are on; this one changes nothing",
		trigger: aTrigger(func(t *eventingv1.Trigger) {
			t.Spec.Broker, t.Spec.BrokerRef = "", reference("eventing.knative.dev/v1", "Broker", "main")
			t.Spec.BrokerRef.Namespace = "shop"
		}),
		knative: false, ours: true,
		applies: func(t *eventingv1.Trigger) bool {
			return t.Spec.BrokerRef != nil && t.Spec.BrokerRef.Namespace == t.Namespace
		},
	},
	{
		name: "a brokerRef without a name", reason: "Knative takes it, and no Broker is found",
		trigger: aTrigger(func(t *eventingv1.Trigger) {
			t.Spec.Broker, t.Spec.BrokerRef = "", reference("eventing.knative.dev/v1", "Broker", "")
		}),
		knative: true, ours: false,
		applies: func(t *eventingv1.Trigger) bool { return t.Spec.BrokerRef != nil && t.Spec.BrokerRef.Name == "" },
	},
	{
		name: "names", reason: "the API server looks at them, not the webhook; they are part of keys and URLs here",
		trigger: aTrigger(func(t *eventingv1.Trigger) { t.Name = "T" }),
		knative: true, ours: false,
		applies: func(t *eventingv1.Trigger) bool { return t.Name == "T" || t.Spec.Broker == "Main" },
	},
	{
		name: "annotations of other controllers", reason: "knative.dev/dependency and eventing.knative.dev/injection are the cluster's",
		trigger: aTrigger(func(t *eventingv1.Trigger) {
			t.Annotations = map[string]string{eventingv1.DependencyAnnotation: "nonsense"}
		}),
		knative: false, ours: true,
		applies: func(t *eventingv1.Trigger) bool { return t.Annotations[eventingv1.DependencyAnnotation] != "" },
	},
	{
		name: "annotations of this broker", reason: "Knative's webhook does not know them",
		trigger: aTrigger(func(t *eventingv1.Trigger) { t.Annotations = map[string]string{manifest.AbsenceAnnotation: "soon"} }),
		knative: true, ours: false,
		applies: func(t *eventingv1.Trigger) bool { return t.Annotations[manifest.AbsenceAnnotation] == "soon" },
	},
}

func someDuration(t *eventingv1.Trigger, is func(string) bool) bool {
	d := t.Spec.Delivery
	return d != nil && slices.ContainsFunc([]*string{d.Timeout, d.BackoffDelay, d.RetryAfterMax}, func(s *string) bool { return s != nil && is(*s) })
}

// finer is a duration with more than one decimal.
func finer(s string) bool { return decimals.MatchString(s) }

var decimals = regexp.MustCompile(`[.,]\d\d`)

func someDestination(t *eventingv1.Trigger, is func(duckv1.Destination) bool) bool {
	return is(t.Spec.Subscriber) || (t.Spec.Delivery != nil && t.Spec.Delivery.DeadLetterSink != nil && is(*t.Spec.Delivery.DeadLetterSink))
}

// admit is what the webhook does: defaults, then validation.
func admit(trigger *eventingv1.Trigger) (*eventingv1.Trigger, error) {
	admitted := trigger.DeepCopy()
	admitted.SetDefaults(features())
	if err := admitted.Validate(features()); err != nil {
		return nil, err
	}
	return admitted, nil
}

func TestManifestDifferences(t *testing.T) {
	t.Parallel()
	for _, d := range manifestDifferences {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			_, knative := admit(d.trigger)
			require.Equal(t, d.knative, knative == nil, "Knative: %v", knative)
			_, ours := build(t, d.trigger)
			require.Equal(t, d.ours, ours == nil, "ours: %v", ours)
			require.True(t, d.applies(d.trigger))
		})
	}
}

// A Broker's rules are those of its delivery, which are compared on Triggers, and
// these.
func TestBrokerDifferences(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a Broker without a class is everybody's on a laptop": "metadata: {name: main}",
		"spec.config is read on a cluster only":               "metadata: {name: main, annotations: {eventing.knative.dev/broker.class: RedisStreams}}\nspec: {config: {name: settings}}",
	} {
		var b eventingv1.Broker
		require.NoError(t, yaml.UnmarshalStrict([]byte(text), &b), name)
		require.Error(t, b.Validate(features()), name)
		_, err := manifest.ReadBroker([]byte(text))
		require.NoError(t, err, name)
	}
}

func TestSubscriberOfAnySchemeIsNoDifference(t *testing.T) {
	t.Parallel()
	trigger := aTrigger(func(t *eventingv1.Trigger) { t.Spec.Subscriber.URI = uri("bad://uri") })
	_, err := admit(trigger)
	require.NoError(t, err)
	built, err := build(t, trigger)
	require.NoError(t, err)
	require.Equal(t, "bad://uri", built.Subscriber)
}

var durations = []string{
	"PT2S", "PT0.5S", "PT0,5S", "P1D", "P1W", "P1M", "P1Y", "P1Y2M3DT4H5M6S", "PT1H30M", "PT100M", "PT36H", "P40D", "PT0S", "P0D", "PT1.5M", "P0.5D",
	"P1W2D", "-PT1S", "+PT1S", "PT-1S", "2s", "", "P", "PT", "PT2", "P2S", "P1S", "PT1S1M", "P1DT", "pt1s", " PT1S", "PT1S ", "PT0.001S", "PT3600S", "P1Y1D", "PT1H1S", "PT0.0001S",
}

func drawDelivery(t *rapid.T) *eventingduckv1.DeliverySpec {
	d := &eventingduckv1.DeliverySpec{}
	duration := func(name string) *string {
		if rapid.Bool().Draw(t, name) {
			return nil
		}
		s := rapid.SampledFrom(durations).Draw(t, name)
		return &s
	}
	if rapid.Bool().Draw(t, "has retry") {
		d.Retry = ptr.Int32(rapid.SampledFrom([]int32{-1, 0, 1, 3, 1 << 30}).Draw(t, "retry"))
	}
	switch rapid.IntRange(0, 2).Draw(t, "durations") { // mostly one, to have valid ones
	case 0:
		d.BackoffDelay = duration("backoffDelay")
	case 1:
		d.Timeout = duration("timeout")
	case 2:
		d.RetryAfterMax = duration("retryAfterMax")
	}
	if rapid.Bool().Draw(t, "has policy") {
		policy := rapid.SampledFrom([]eventingduckv1.BackoffPolicyType{"linear", "exponential", "cubic", ""}).Draw(t, "policy")
		d.BackoffPolicy = &policy
	}
	if rapid.Bool().Draw(t, "has format") {
		format := rapid.SampledFrom([]eventingduckv1.FormatType{"json", "binary", "JSON", ""}).Draw(t, "format")
		d.Format = &format
	}
	if rapid.Bool().Draw(t, "has sink") {
		sink := drawDestination(t)
		d.DeadLetterSink = &sink
	}
	return d
}

func drawDestination(t *rapid.T) duckv1.Destination {
	var d duckv1.Destination
	if rapid.IntRange(0, 3).Draw(t, "has uri") > 0 {
		d.URI = uri(rapid.SampledFrom([]string{
			"http://a/b?c=d", "https://a", "bad://uri", "/path", "", "mailto:a@b", "http:///x", "//host/x", "http://a b/", "HTTP://a", "http://a/%7Eb", "ftp://x/y#z",
		}).Filter(func(s string) bool { _, err := apis.ParseURL(s); return err == nil }).Draw(t, "uri"))
	}
	if rapid.IntRange(0, 3).Draw(t, "has ref") == 0 {
		d.Ref = reference(
			rapid.SampledFrom([]string{"v1", ""}).Draw(t, "apiVersion"), rapid.SampledFrom([]string{"Service", ""}).Draw(t, "kind"),
			rapid.SampledFrom([]string{"a", ""}).Draw(t, "name"))
		d.Ref.Group = rapid.SampledFrom([]string{"", "", "g"}).Draw(t, "group")
		d.Ref.Namespace = rapid.SampledFrom([]string{"", "shop", "other"}).Draw(t, "namespace")
	}
	if rapid.IntRange(0, 9).Draw(t, "has certificates") == 0 {
		d.CACerts = ptr.String("nonsense")
	}
	return d
}

func drawTrigger(t *rapid.T) *eventingv1.Trigger {
	return aTrigger(func(tr *eventingv1.Trigger) {
		switch rapid.IntRange(0, 9).Draw(t, "broker") {
		case 0:
			tr.Spec.Broker = ""
		case 1:
			tr.Spec.Broker = "Main"
		case 2, 3:
			tr.Spec.BrokerRef = reference("eventing.knative.dev/v1", "Broker", rapid.SampledFrom([]string{"main", ""}).Draw(t, "brokerRef"))
			tr.Spec.BrokerRef.Namespace = rapid.SampledFrom([]string{"", "shop", "other"}).Draw(t, "namespace")
			if rapid.Bool().Draw(t, "only brokerRef") {
				tr.Spec.Broker = ""
			}
		}
		if rapid.Bool().Draw(t, "has subscriber") {
			tr.Spec.Subscriber = drawDestination(t)
		}
		if rapid.Bool().Draw(t, "has delivery") {
			tr.Spec.Delivery = drawDelivery(t)
		}
		if rapid.IntRange(0, 3).Draw(t, "has filters") == 0 {
			tr.Spec.Filters = drawFilters(t, 1)
		}
		if rapid.IntRange(0, 3).Draw(t, "has filter") == 0 {
			tr.Spec.Filter = &eventingv1.TriggerFilter{Attributes: drawComparisons(t)}
		}
	})
}

func compareTriggers(t *rapid.T) {
	trigger := drawTrigger(t)
	admitted, knative := admit(trigger)
	built, ours := build(t, trigger)
	if (knative == nil) != (ours == nil) {
		// A filter is refused for reasons of its own, which are compared by themselves.
		filtered := askOurs(t, trigger.Spec, plainSample()).refused != askKnative(trigger.Spec, plainSample()).refused
		if !filtered && !slices.ContainsFunc(manifestDifferences, func(d manifestDifference) bool { return d.applies(trigger) }) {
			text, _ := yaml.Marshal(trigger)
			t.Fatalf("%s\nKnative: %v\nours: %v", text, knative, ours)
		}
		return
	}
	if ours != nil {
		return
	}
	again, err := build(t, admitted)
	require.NoError(t, err)
	require.Equal(t, built.Filter.String(), again.Filter.String())
	built.Filter, again.Filter = nil, nil
	require.Equal(t, built, again, "Knative's defaults change nothing")
	if d := trigger.Spec.Subscriber; d.Ref == nil {
		require.Equal(t, d.URI.String(), built.Subscriber)
	}
	if trigger.Spec.Delivery != nil {
		compareDelivery(t, *trigger.Spec.Delivery, built.Delivery)
	}
}

// compareDelivery reads the durations with the library that Knative's own brokers
// read them with.
func compareDelivery(t *rapid.T, spec eventingduckv1.DeliverySpec, d broker.Delivery) {
	require.EqualValues(t, ptr.Int32Value(spec.Retry), d.Retry)
	compareDuration(t, spec.BackoffDelay, d.BackoffDelay)
	compareDuration(t, spec.Timeout, d.Timeout)
	compareDuration(t, spec.RetryAfterMax, d.RetryAfterMax)
	require.Equal(t, spec.RetryAfterMax != nil && d.RetryAfterMax == 0, d.IgnoreRetryAfter)
	if spec.BackoffPolicy != nil {
		require.Equal(t, string(*spec.BackoffPolicy), string(d.BackoffPolicy))
	}
	if spec.Format != nil {
		require.Equal(t, string(*spec.Format), string(d.Format))
	}
}

func compareDuration(t *rapid.T, text *string, ours time.Duration) {
	if text == nil {
		require.Zero(t, ours)
		return
	}
	if finer(*text) {
		return
	}
	p, err := period.Parse(*text)
	require.NoError(t, err)
	knative, _ := p.Duration()
	require.Equal(t, knative, ours, *text)
}

func TestTriggersAgree(t *testing.T) { t.Parallel(); rapid.Check(t, compareTriggers) }
func FuzzTriggersAgree(f *testing.F) { f.Fuzz(rapid.MakeFuzz(compareTriggers)) }
