package config

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/broker"
)

const sample = `apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: main, namespace: sweep}
spec:
  delivery: {retry: 3, backoffPolicy: exponential, backoffDelay: PT2S, deadLetterSink: {uri: "http://dead/"}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: other}
---
# a comment only
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata:
  name: submit
  namespace: sweep
  annotations: {sweepline.dev/parallelism: "7", sweepline.dev/ordered: "true", sweepline.dev/batch-size: "50", sweepline.dev/start-from: earliest}
spec:
  broker: main
  filter: {attributes: {type: a}}
  subscriber: {ref: {apiVersion: serving.knative.dev/v1, kind: Service, name: submit}, uri: /path}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: store, namespace: sweep}
spec:
  broker: main
  subscriber: {uri: "http://store/"}
  delivery: {retry: 1, timeout: PT1M30S, retryAfterMax: PT0S, format: json}
`

func resolver(r Ref) (string, error) {
	if r.Kind != "Service" || r.APIVersion != "serving.knative.dev/v1" || r.Namespace != "sweep" {
		return "", errors.New("no such service: " + r.String())
	}
	return "http://" + r.Name + ".local/", nil
}

func load(t *testing.T, text string) (broker.Set, error) {
	t.Helper()
	return Load(fstest.MapFS{"a.yaml": {Data: []byte(text)}, "notes.txt": {Data: []byte("{")}}, Options{Resolve: resolver})
}

func TestLoad(t *testing.T) {
	t.Parallel()
	set, err := load(t, sample)
	require.NoError(t, err)
	require.Equal(t, []broker.Broker{{Namespace: "sweep", Name: "main"}}, set.Brokers)
	require.Len(t, set.Triggers, 2)
	submit, store := set.Triggers[0], set.Triggers[1]
	e := event.New()
	e.SetType("a")
	require.True(t, submit.Filter(e))
	e.SetType("b")
	require.False(t, submit.Filter(e))
	submit.Filter = nil
	require.Equal(t, broker.Trigger{
		Namespace: "sweep", Name: "submit", Broker: "main", Subscriber: "http://submit.local/path",
		FilterText: `{"type":"a"}`, Parallelism: 7, Ordered: true, BatchSize: 50, StartFrom: "earliest",
		Delivery: broker.Delivery{
			Retry: 3, BackoffPolicy: broker.BackoffExponential, BackoffDelay: 2 * time.Second, DeadLetterSink: "http://dead/",
		},
	}, submit)
	// Any delivery on the Trigger replaces the Broker's as a whole.
	require.Equal(t, broker.Delivery{
		Retry: 1, Timeout: 90 * time.Second, IgnoreRetryAfter: true, Format: broker.FormatJSON,
	}, store.Delivery)
}

func TestErrorsNameFileObjectAndField(t *testing.T) {
	t.Parallel()
	head := "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: main}\n---\n"
	trigger := func(spec string) string {
		return head + "apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {name: t}\nspec: " + spec + "\n"
	}
	for text, want := range map[string]string{
		trigger(`{broker: nobody, subscriber: {uri: "http://x"}}`):                                                 "a.yaml: Trigger default/t: spec.broker: there is no Broker default/nobody",
		trigger(`{broker: main}`):                                                                                  "a.yaml: Trigger default/t: spec.subscriber: needs a uri or a ref",
		trigger(`{broker: main, subscriber: {uri: "ftp://x"}}`):                                                    "spec.subscriber: \"ftp://x\"",
		trigger(`{broker: main, subscriber: {ref: {kind: Pod, name: x}}}`):                                         "spec.subscriber: ref: no such service",
		trigger(`{broker: main, subscriber: {uri: "http://x"}, filters: [{exact: {type: ""}}]}`):                   "spec: filters[0].exact",
		trigger(`{broker: main, subscriber: {uri: "http://x"}, delivery: {retry: -1}}`):                            "spec.delivery.retry",
		trigger(`{broker: main, subscriber: {uri: "http://x"}, delivery: {backoffDelay: 2s}}`):                     "spec.delivery.backoffDelay: \"2s\" is no ISO 8601 duration",
		trigger(`{broker: main, subscriber: {uri: "http://x"}, delivery: {timeout: PT0S}}`):                        "spec.delivery.timeout",
		trigger(`{broker: main, subscriber: {uri: "http://x"}, delivery: {backoffPolicy: cubic}}`):                 "spec.delivery.backoffPolicy",
		trigger(`{broker: main, subscriber: {uri: "http://x"}, delivery: {format: xml}}`):                          "spec.delivery.format",
		trigger(`{broker: main, subscriber: {uri: "http://x"}, delivery: {deadLetterSink: {}}}`):                   "spec.delivery.deadLetterSink",
		trigger(`{broker: main, subscriber: {uri: "http://x"}, filtres: []}`):                                      "filtres",
		trigger(`{broker: main, subscriber: {uri: "http://x"}}`) + "---\n" + trigger(`{broker: main}`)[len(head):]: "is defined twice",
		head + head: "a.yaml: Broker default/main: is defined twice",
		"a: [":      "a.yaml: document 1",
		"apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: b}\nspec: {delivery: {backoffDelay: x}}": "a.yaml: Broker default/b: spec.delivery.backoffDelay",
	} {
		_, err := load(t, text)
		require.ErrorContains(t, err, want)
	}
	for name, value := range map[string]string{
		ParallelismAnnotation: "0", BatchSizeAnnotation: "many", OrderedAnnotation: "perhaps",
	} {
		_, err := load(t, head+"apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {name: t, annotations: {"+
			name+": \""+value+"\"}}\nspec: {broker: main, subscriber: {uri: \"http://x\"}}\n")
		require.ErrorContains(t, err, "metadata.annotations["+name+"]")
	}
}

func TestOtherClassIsLeftOut(t *testing.T) {
	t.Parallel()
	text := "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: k, annotations: {eventing.knative.dev/broker.class: Kafka}}\n---\n" +
		"apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {name: t}\nspec: {broker: k, subscriber: {uri: \"http://x\"}}\n"
	set, err := Load(fstest.MapFS{"a.yaml": {Data: []byte(text)}}, Options{Class: "SweeplineRedis"})
	require.NoError(t, err)
	require.Empty(t, set.Brokers)
	require.Empty(t, set.Triggers)
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
	f.Fuzz(func(t *testing.T, text string) {
		set, err := Load(fstest.MapFS{"a.yaml": {Data: []byte(text)}}, Options{Resolve: resolver})
		if err == nil {
			require.LessOrEqual(t, len(set.Brokers), len(text))
		}
	})
}

func TestWatch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "tmp"), []byte(text), 0o600))
		require.NoError(t, os.Rename(filepath.Join(dir, "tmp"), filepath.Join(dir, "a.yaml")))
	}
	write(sample)
	ctx, cancel := context.WithCancel(t.Context())
	sets := make(chan broker.Set)
	refuse := true
	done := make(chan struct{})
	go func() {
		defer close(done)
		Watch(ctx, os.DirFS(dir), Options{Resolve: resolver}, time.Millisecond, func(_ context.Context, s broker.Set) error {
			if refuse {
				refuse = false
				return errors.New("redis is away")
			}
			sets <- s
			return nil
		}, slog.New(slog.DiscardHandler))
	}()
	require.Len(t, (<-sets).Triggers, 2, "what could not be applied is tried again")
	write("apiVersion: [")
	write("apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: b}\n")
	require.Equal(t, []broker.Broker{{Namespace: "default", Name: "b"}}, (<-sets).Brokers)
	require.NoError(t, os.Remove(filepath.Join(dir, "a.yaml")))
	require.Empty(t, (<-sets).Brokers)
	cancel()
	<-done
}
