package manifest

import (
	"errors"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/broker"
)

const sample = `apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: main, namespace: sweep}
spec:
  config: {apiVersion: v1, kind: ConfigMap, name: settings}
  delivery: {retry: 3, backoffPolicy: exponential, backoffDelay: PT2S, deadLetterSink: {uri: "http://dead/"}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: other}
---
# a comment only
--- # and one beside the marker
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata:
  name: submit
  namespace: sweep
  labels: {any: thing}
  ownerReferences: [{uid: "7"}]
  managedFields: [{manager: kubectl, fieldsV1: {"f:spec": {}}}]
  annotations: {sweepline.dev/parallelism: 7, sweepline.dev/ordered: true, sweepline.dev/batch-size: "50", sweepline.dev/start-from: earliest,
    sweepline.dev/absence: P1DT1S, sweepline.dev/hold: "true", knative.dev/dependency: "not read"}
spec:
  broker: main
  filter: {attributes: {type: a}}
  subscriber: {ref: {apiVersion: serving.knative.dev/v1, kind: Service, name: submit}, uri: /path}
status: {conditions: [{type: Ready}]}
...
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: store, namespace: sweep}
spec:
  broker: main
  filter: {attributes: {type: a}}
  filters: [{prefix: {type: b}}]
  subscriber: {uri: "http://store/"}
  delivery: {retry: 1, timeout: PT1M30S, retryAfterMax: PT0S, format: json}
`

func resolver(r Ref) (string, error) {
	if r.Kind != "Service" || r.APIVersion != "serving.knative.dev/v1" || r.Namespace != "sweep" {
		return "", errors.New("no such service: " + r.String())
	}
	return "http://" + r.Name + ".local/", nil
}

func load(t *testing.T, text string) broker.Set {
	t.Helper()
	set, err := Load(fstest.MapFS{"a.yaml": {Data: []byte(text)}, "notes.txt": {Data: []byte("{")}}, Options{Resolve: resolver})
	require.NoError(t, err)
	return set
}

func TestLoad(t *testing.T) {
	t.Parallel()
	set := load(t, sample)
	require.Empty(t, set.Problems)
	require.Empty(t, set.Invalid)
	require.False(t, set.Partial)
	require.Zero(t, set.Version)
	require.Equal(t, []broker.Broker{{Namespace: "sweep", Name: "main"}}, set.Brokers)
	require.Len(t, set.Triggers, 2)
	submit, store := set.Triggers[0], set.Triggers[1]
	require.JSONEq(t, `{"type":"a"}`, submit.Filter.String())
	require.JSONEq(t, `[{"prefix":{"type":"b"}}]`, store.Filter.String(), "filters wins over filter")
	submit.Filter = nil
	require.Equal(t, broker.Trigger{
		Namespace: "sweep", Name: "submit", Broker: "main", Subscriber: "http://submit.local/path",
		Parallelism: 7, Ordered: true, Hold: true, BatchSize: 50, StartFrom: "earliest", Absence: 24*time.Hour + time.Second,
		Delivery: broker.Delivery{
			Retry: 3, BackoffPolicy: broker.BackoffExponential, BackoffDelay: 2 * time.Second, DeadLetterSink: "http://dead/",
		},
	}, submit)
	// Any delivery on the Trigger replaces the Broker's as a whole.
	require.Equal(t, broker.Delivery{
		Retry: 1, Timeout: 90 * time.Second, IgnoreRetryAfter: true, Format: broker.FormatJSON,
	}, store.Delivery)
}

const (
	aBroker  = "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: main}\n---\n"
	aTrigger = "apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {name: good}\nspec: {broker: main, subscriber: {uri: \"http://x\"}}\n---\n"
)

func trigger(spec string) string {
	return "apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {name: t}\nspec: " + spec + "\n"
}

func annotated(name, value string) string {
	return "apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {name: t, annotations: {" + name + ": \"" + value +
		"\"}}\nspec: {broker: main, subscriber: {uri: \"http://x\"}}\n"
}

// What is wrong with a Trigger is named by file and field, and stands alone.
func TestInvalidTriggerStandsAlone(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		trigger(`{broker: main}`):                                                                              "spec.subscriber: must have a uri or a ref",
		trigger(`{subscriber: {uri: "http://x"}}`):                                                             "spec.broker: must name a Broker",
		trigger(`{broker: main, brokerRef: {name: main}, subscriber: {uri: "http://x"}}`):                      "spec.brokerRef: must not stand beside broker",
		trigger(`{brokerRef: {name: main, namespace: other}, subscriber: {uri: "http://x"}}`):                  "spec.brokerRef.namespace: must be the Trigger's own: default",
		trigger(`{broker: main, subscriber: {uri: "/path"}}`):                                                  `spec.subscriber: "/path" must be an absolute URL with a host`,
		trigger(`{broker: main, subscriber: {uri: "mailto:a@b"}}`):                                             `spec.subscriber: "mailto:a@b" must be an absolute URL with a host`,
		trigger(`{broker: main, subscriber: {ref: {apiVersion: v1, kind: Pod, name: x}}}`):                     "spec.subscriber: ref: no such service",
		trigger(`{broker: main, subscriber: {ref: {kind: Pod, name: x}}}`):                                     "spec.subscriber: ref: must have apiVersion",
		trigger(`{broker: main, subscriber: {ref: {apiVersion: v1, kind: Pod, name: x, group: a}}}`):           "spec.subscriber: ref: group: must not be set",
		trigger(`{broker: main, subscriber: {uri: "http://x", CACerts: nonsense}}`):                            "CACerts",
		trigger(`{broker: main, subscriber: {uri: "http://x"}, filters: [{exact: {type: ""}}]}`):               "spec.filters[0].exact[type]: must not be empty",
		trigger(`{broker: main, subscriber: {uri: "http://x"}, filters: {type: a}}`):                           "spec.filters: must be an array of filters",
		trigger(`{broker: main, subscriber: {uri: "http://x"}, filter: {attributes: [a]}}`):                    "spec.filter.attributes: must be an object of strings",
		trigger(`{broker: main, subscriber: {uri: "http://x"}, filter: {attributes: {A: a}}, filters: [{}]}`):  "spec.filter.attributes[A]",
		trigger(`{broker: main, subscriber: {uri: "http://x"}, filter: {exact: {}}}`):                          "spec.filter.exact: unknown field",
		trigger(`{broker: main, subscriber: {uri: "http://x"}, delivery: {retry: -1}}`):                        "spec.delivery.retry: must not be negative",
		trigger(`{broker: main, subscriber: {uri: "http://x"}, delivery: {retry: often}}`):                     "spec.delivery.retry: must not be a string",
		trigger(`{broker: main, subscriber: {uri: "http://x"}, delivery: {backoffDelay: 2s}}`):                 `spec.delivery.backoffDelay: "2s" is not an ISO 8601 duration`,
		trigger(`{broker: main, subscriber: {uri: "http://x"}, delivery: {timeout: PT0S}}`):                    "spec.delivery.timeout: must be greater than 0",
		trigger(`{broker: main, subscriber: {uri: "http://x"}, delivery: {backoffPolicy: cubic}}`):             "spec.delivery.backoffPolicy",
		trigger(`{broker: main, subscriber: {uri: "http://x"}, delivery: {format: xml}}`):                      "spec.delivery.format",
		trigger(`{broker: main, subscriber: {uri: "http://x"}, delivery: {deadLetterSink: {}}}`):               "spec.delivery.deadLetterSink: must have a uri or a ref",
		trigger(`{broker: main, subscriber: {uri: "http://x"}, delivery: {deadLetterSink: {uri: "bad://x"}}}`): `spec.delivery.deadLetterSink: "bad://x" must be an absolute http or https URL`,
		trigger(`{broker: main, subscriber: {uri: "http://x"}, filtres: []}`):                                  "spec.filtres: unknown field",
		trigger(`{broker: main, Subscriber: {uri: "http://x"}}`):                                               "spec.Subscriber: unknown field",
		trigger(`{broker: main, broker: main, subscriber: {uri: "http://x"}}`):                                 `"broker" already set`,
		trigger(`[]`):                            "spec: must not be a array",
		annotated(ParallelismAnnotation, "0"):    `metadata.annotations[sweepline.dev/parallelism]: "0" must be a number from 1 to 10000`,
		annotated(BatchSizeAnnotation, "many"):   "metadata.annotations[sweepline.dev/batch-size]",
		annotated(OrderedAnnotation, "perhaps"):  "metadata.annotations[sweepline.dev/ordered]",
		annotated(HoldAnnotation, "perhaps"):     "metadata.annotations[sweepline.dev/hold]",
		annotated(AbsenceAnnotation, "1d"):       `metadata.annotations[sweepline.dev/absence]: "1d" is not an ISO 8601 duration`,
		annotated(StartFromAnnotation, "monday"): "startFrom",
		"apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {name: t, anotations: {}}\nspec: {broker: main, subscriber: {uri: \"http://x\"}}": "metadata.anotations: unknown field",
	} {
		set := load(t, aBroker+aTrigger+text)
		require.Len(t, set.Brokers, 1, text)
		require.Len(t, set.Triggers, 1, text)
		require.Len(t, set.Invalid, 1, text)
		invalid := set.Invalid[0]
		require.Equal(t, "default", invalid.Namespace)
		require.Equal(t, "t", invalid.Name)
		require.Contains(t, invalid.Problem, "a.yaml: ")
		require.Contains(t, invalid.Problem, want)
		require.NotContains(t, invalid.Problem, "\n")
		require.False(t, set.Partial)
	}
	all := load(t, aBroker+trigger(`{broker: main, extra: 1, delivery: {retry: -1, format: xml}, filters: [{exact: {A: ""}}]}`))
	for _, problem := range []string{"spec.extra", "retry", "format", "filters[0].exact[A]: must be named", "filters[0].exact[A]: must not be empty", "subscriber"} {
		require.Contains(t, all.Invalid[0].Problem, problem, "all are named at once")
	}
	require.Equal(t, "main", all.Invalid[0].Broker)
	nobody := load(t, aBroker+trigger(`{broker: nobody, subscriber: {uri: "http://x"}}`))
	require.Equal(t, []broker.InvalidTrigger{{
		Namespace: "default", Broker: "nobody", Name: "t", Problem: "a.yaml: spec.broker: there is no Broker default/nobody",
	}}, nobody.Invalid)
}

// An address that nothing can be posted to is the Trigger's to have: its events end
// in the dead letter sink.
func TestSubscriberOfAnyScheme(t *testing.T) {
	t.Parallel()
	set := load(t, aBroker+trigger(`{broker: main, subscriber: {uri: "bad://uri"}}`))
	require.Empty(t, set.Invalid)
	require.Equal(t, "bad://uri", set.Triggers[0].Subscriber)
}

// A Broker that is wrong is served, and with it the Triggers that need nothing of
// what is wrong.
func TestInvalidBroker(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string]string{
		`{delivery: {backoffDelay: x}}`: `a.yaml: Broker default/main: spec.delivery.backoffDelay: "x" is not`,
		`{delivry: {}}`:                 "a.yaml: Broker default/main: spec.delivry: unknown field",
	} {
		set := load(t, "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: main}\nspec: "+spec+"\n---\n"+aTrigger+
			trigger(`{broker: main, subscriber: {uri: "http://x"}, delivery: {retry: 1}}`))
		require.Len(t, set.Problems, 1)
		require.Contains(t, set.Problems[0], want)
		require.Len(t, set.Brokers, 1)
		require.Len(t, set.Triggers, 1)
		require.Equal(t, "t", set.Triggers[0].Name)
		require.Len(t, set.Invalid, 1)
		require.Equal(t, "a.yaml: needs the delivery of Broker default/main, which is invalid", set.Invalid[0].Problem)
	}
	set := load(t, "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: Main}\n---\n"+aBroker+aBroker+aTrigger+aTrigger)
	require.Len(t, set.Brokers, 1)
	require.Len(t, set.Triggers, 1)
	require.Empty(t, set.Invalid)
	require.Len(t, set.Problems, 3)
	require.Contains(t, set.Problems[0], `Broker default/Main: metadata: name: "Main" may hold only`)
	require.Equal(t, "a.yaml: Broker default/main: defined twice, this one is ignored", set.Problems[1])
	require.Equal(t, "a.yaml: Trigger default/good: defined twice, this one is ignored", set.Problems[2])
}

// A document that cannot be read leaves the rest, and says that more may be defined.
func TestUnreadableDocument(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a: [": "a.yaml: document 3: yaml: line 1: did not find", // as of a file that is being written
		"apiV": "a.yaml: document 3: must be an object of Kubernetes",
		"apiVersion: eventing.knative.dev/v1beta1\nkind: Trigger\nmetadata: {name: t}": "document 3: Trigger of apiVersion eventing.knative.dev/v1beta1: only eventing.knative.dev/v1 is read",
		"apiVersion: [a]\nkind: Broker": "document 3: must be an object of Kubernetes: apiVersion: must not be a array",
	} {
		set := load(t, aBroker+aTrigger+text)
		require.Len(t, set.Triggers, 1, text)
		require.True(t, set.Partial, text)
		require.Len(t, set.Problems, 1, text)
		require.Contains(t, set.Problems[0], want)
	}
	_, err := Load(fstest.MapFS{"a.yaml": {Data: []byte("a: [")}, "b.yaml": {Data: []byte("b: [")}}, Options{})
	require.ErrorContains(t, err, "a.yaml: document 1")
	require.ErrorContains(t, err, "b.yaml: document 1")

	set, err := Load(fstest.MapFS{}, Options{})
	require.NoError(t, err)
	require.True(t, set.Partial, "an empty folder may be one that is not mounted")
}

func TestList(t *testing.T) {
	t.Parallel()
	set := load(t, `apiVersion: v1
kind: List
metadata: {resourceVersion: ""}
items:
- {apiVersion: eventing.knative.dev/v1, kind: Broker, metadata: {name: main, creationTimestamp: "2026-01-02T03:04:05Z"}, status: {address: {}}}
- {apiVersion: eventing.knative.dev/v1, kind: Trigger, metadata: {name: a}, spec: {broker: main, subscriber: {uri: "http://x"}, filter: {attributes: {seq: 5}}}}
- {apiVersion: eventing.knative.dev/v1, kind: Trigger, metadata: {name: b}, spec: {broker: main}}
- {apiVersion: v1, kind: Secret}
`)
	require.Empty(t, set.Problems)
	require.Len(t, set.Brokers, 1)
	require.Len(t, set.Triggers, 1)
	require.JSONEq(t, `{"seq":"5"}`, set.Triggers[0].Filter.String())
	require.Len(t, set.Invalid, 1)
	require.Equal(t, "b", set.Invalid[0].Name)
	set = load(t, aBroker+`{"apiVersion":"v1","kind":"List","items":[{},5]}`)
	require.Len(t, set.Problems, 1)
	require.Contains(t, set.Problems[0], "document 2: items[1]: must be an object")
}

func TestOtherClassIsLeftOut(t *testing.T) {
	t.Parallel()
	text := "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: k, annotations: {eventing.knative.dev/broker.class: Kafka}}\n---\n" +
		trigger(`{broker: k}`)
	set, err := Load(fstest.MapFS{"a.yaml": {Data: []byte(text)}}, Options{Class: "SweeplineRedis"})
	require.NoError(t, err)
	require.Empty(t, set)
}

func TestBuild(t *testing.T) {
	t.Parallel()
	tr, err := ReadTrigger([]byte(trigger(`{broker: main, subscriber: {uri: "http://x"}}`)))
	require.NoError(t, err)
	b, err := ReadBroker([]byte("metadata: {name: main}\nspec: {delivery: {retry: 4}}"))
	require.NoError(t, err)
	built, err := Build(tr, b, Options{Namespace: "shop"})
	require.NoError(t, err)
	require.Equal(t, broker.Trigger{
		Namespace: "shop", Name: "t", Broker: "main", Subscriber: "http://x", Delivery: broker.Delivery{Retry: 4},
	}, built)
	_, err = ReadTrigger([]byte("spec: {brokr: main}"))
	require.EqualError(t, err, "spec.brokr: unknown field")
	_, err = ReadBroker([]byte("a: ["))
	require.Error(t, err)
}

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]time.Duration{
		"PT2S": 2 * time.Second, "PT0.1S": 100 * time.Millisecond, "PT0,05S": 50 * time.Millisecond, "PT1M30S": 90 * time.Second,
		"PT1H": time.Hour, "P1D": 24 * time.Hour, "P1W": 7 * 24 * time.Hour, "P1DT1S": 24*time.Hour + time.Second, "PT0S": 0,
		"P1M": time.Duration(30.436875 * 24 * float64(time.Hour)),
	} {
		got, err := parseDuration(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
	}
	for _, in := range []string{"", "P", "PT", "2s", "PT2", "P2S", "PT1S1M", "PT-1S", "PT1.2.3S", "P1DT", "PT1SS", "PTT1S", "pt1s", "P99999999999Y"} {
		_, err := parseDuration(in)
		require.ErrorIs(t, err, errDuration, in)
	}
}

func FuzzParseDuration(f *testing.F) {
	f.Add("P1DT2H3M4.5S")
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := parseDuration(s); err == nil {
			require.GreaterOrEqual(t, d, time.Duration(0))
		}
	})
}

func FuzzLoad(f *testing.F) {
	f.Add(sample)
	f.Add(`{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"eventing.knative.dev/v1","kind":"Trigger"}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		set, err := Load(fstest.MapFS{"a.yaml": {Data: []byte(text)}}, Options{Resolve: resolver})
		if err != nil {
			return
		}
		// Whatever is in the set, a Server takes it.
		for _, b := range set.Brokers {
			require.NoError(t, b.Validate())
		}
		for _, tr := range set.Triggers {
			require.NoError(t, tr.Validate())
			require.Contains(t, set.Brokers, broker.Broker{Namespace: tr.Namespace, Name: tr.Broker})
		}
	})
}
