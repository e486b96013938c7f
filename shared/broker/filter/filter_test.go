package filter

import (
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"sigs.k8s.io/yaml"
)

func anEvent() event.Event {
	e := event.New()
	e.SetID("1")
	e.SetSource("/orders/eu")
	e.SetType("com.example.created")
	e.SetSubject("order-7")
	e.SetExtension("tenantid", "acme")
	e.SetExtension("n", 5)
	return e
}

func TestDialects(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string]bool{
		`{}`: true,
		`{filter: {attributes: {type: com.example.created}}}`:                                true,
		`{filter: {attributes: {type: com.example.created, tenantid: other}}}`:               false,
		`{filter: {attributes: {tenantid: ""}}}`:                                             true,
		`{filter: {attributes: {missing: ""}}}`:                                              false,
		`{filters: [{exact: {tenantid: acme}}]}`:                                             true,
		`{filters: [{exact: {tenantid: acme}}, {exact: {tenantid: x}}]}`:                     false,
		`{filters: [{prefix: {type: com.example.}}]}`:                                        true,
		`{filters: [{suffix: {source: /us}}]}`:                                               false,
		`{filters: [{all: [{prefix: {type: com.}}, {suffix: {source: /eu}}]}]}`:              true,
		`{filters: [{any: [{exact: {type: x}}, {suffix: {source: /eu}}]}]}`:                  true,
		`{filters: [{any: [{exact: {type: x}}, {exact: {type: "y"}}]}]}`:                     false,
		`{filters: [{not: {exact: {type: x}}}]}`:                                             true,
		`{filters: [{not: {prefix: {type: com}}}]}`:                                          false,
		`{filters: [{cesql: "type LIKE 'com.%' AND n > 4"}]}`:                                true,
		`{filters: [{cesql: "n > 5"}]}`:                                                      false,
		`{filters: [{cesql: "EXISTS missing"}]}`:                                             false,
		`{filters: [{cesql: "n + 1"}]}`:                                                      false, // no boolean
		`{filters: [{cesql: "missing = 'x'"}]}`:                                              false, // an error
		`{filters: [{}]}`:                                                                    true,
		`{filter: {attributes: {type: x}}, filters: [{exact: {type: com.example.created}}]}`: true, // filters wins
		`{filter: {attributes: {type: com.example.created}}, filters: [{exact: {type: x}}]}`: false,
	} {
		f := compile(t, spec)
		require.Equal(t, want, f == nil || f(anEvent()), spec)
	}
}

func TestInvalidFilterIsRefused(t *testing.T) {
	t.Parallel()
	for spec, field := range map[string]string{
		`{filters: [{exact: {type: ""}}]}`:                               "filters[0].exact",
		`{filters: [{exact: {Bad_Name: x}}]}`:                            "exact",
		`{filters: [{any: [{exact: {type: x}}, {prefix: {type: ""}}]}]}`: "filters[0].any[1].prefix",
		`{filters: [{not: {suffix: {type: ""}}}]}`:                       "filters[0].not.suffix",
		`{filters: [{cesql: "type ="}]}`:                                 "cesql",
		`{filters: [{all: [{cesql: "((("}]}]}`:                           "cesql",
		`{filters: [{exact: {type: x}, prefix: {type: x}}]}`:             "multiple dialects",
		`{filter: {attributes: {Bad_Name: x}}}`:                          "attributes",
	} {
		var s eventingv1.TriggerSpec
		require.NoError(t, yaml.Unmarshal([]byte(spec), &s))
		_, err := Compile(&s)
		require.ErrorContains(t, err, field, spec)
	}
}

func compile(t *testing.T, spec string) func(event.Event) bool {
	t.Helper()
	var s eventingv1.TriggerSpec
	require.NoError(t, yaml.Unmarshal([]byte(spec), &s))
	f, err := Compile(&s)
	require.NoError(t, err, spec)
	return f
}

func TestText(t *testing.T) {
	t.Parallel()
	one := eventingv1.TriggerSpec{Filters: []eventingv1.SubscriptionsAPIFilter{{CESQL: "TRUE"}}}
	require.JSONEq(t, `[{"cesql":"TRUE"}]`, Text(&one))
	require.Empty(t, Text(&eventingv1.TriggerSpec{}))
}

func FuzzCESQL(f *testing.F) {
	for _, s := range []string{"TRUE", "n > 4", "type LIKE '%'", "((", "INT('x') / 0 = 1", "NOT", "n IN (1, 2)", "1 / 0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, expression string) {
		spec := eventingv1.TriggerSpec{Filters: []eventingv1.SubscriptionsAPIFilter{{CESQL: expression}}}
		match, err := Compile(&spec)
		if err == nil && match != nil {
			match(anEvent())
		}
	})
}

func BenchmarkExact(b *testing.B) {
	spec := eventingv1.TriggerSpec{Filter: &eventingv1.TriggerFilter{Attributes: map[string]string{"type": "com.example.created"}}}
	match, err := Compile(&spec)
	require.NoError(b, err)
	e := anEvent()
	b.ReportAllocs()
	for b.Loop() {
		match(e)
	}
}
