package oracle

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	sqlerrors "github.com/cloudevents/sdk-go/sql/v2/errors"
	sqlparser "github.com/cloudevents/sdk-go/sql/v2/parser"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/eventing/pkg/eventfilter"
	"knative.dev/eventing/pkg/eventfilter/attributes"
	"knative.dev/eventing/pkg/eventfilter/subscriptionsapi"
	"knative.dev/pkg/logging"
	"pgregory.net/rapid"

	"github.com/zixly/sweepline/shared/broker/filter"
)

// sample is one event: as the broker holds it, by text, and as Knative does.
type sample struct {
	texts map[string]string
	typed event.Event
}

func (s sample) Attribute(name string) (string, bool) {
	text, ok := s.texts[name]
	return text, ok
}

func (s sample) Event() event.Event { return s.typed }

func newSample(source string) sample {
	s := sample{texts: map[string]string{"specversion": "1.0", "id": "1", "type": "com.a", "source": source}, typed: event.New()}
	s.typed.SetID("1")
	s.typed.SetType("com.a")
	s.typed.SetSource(source)
	return s
}

// with gives the event one more attribute, of the type that the value has.
func (s sample) with(name string, value any) sample {
	switch v := value.(type) {
	case int:
		s.texts[name] = "5"
		s.typed.SetExtension(name, v)
	case bool:
		s.texts[name] = "true"
		s.typed.SetExtension(name, v)
	case time.Time:
		s.texts[name] = v.Format(time.RFC3339Nano)
		s.typed.SetTime(v)
	case string:
		s.texts[name] = v
		switch name {
		case "subject":
			s.typed.SetSubject(v)
		case "datacontenttype":
			s.typed.SetDataContentType(v)
		case "dataschema":
			s.typed.SetDataSchema(v)
		default:
			s.typed.SetExtension(name, v)
		}
	}
	return s
}

// verdict is what a library makes of a filter and an event.
type verdict struct{ refused, matches, panics bool }

var (
	refuses  = verdict{refused: true}
	selects  = verdict{matches: true}
	rejects  = verdict{}
	panicked = verdict{panics: true}
)

// quiet is a context whose logger says nothing.
func quiet() context.Context {
	return logging.WithLogger(context.Background(), zap.NewNop().Sugar())
}

func askKnative(spec eventingv1.TriggerSpec, s sample) (v verdict) {
	ctx := quiet()
	err := eventingv1.ValidateAttributeFilters(spec.Filter).Also(eventingv1.ValidateSubscriptionAPIFiltersList(ctx, spec.Filters))
	if err != nil {
		return refuses
	}
	defer func() {
		if recover() != nil {
			v = panicked
		}
	}()
	var f eventfilter.Filter
	switch {
	case len(spec.Filters) > 0:
		f = subscriptionsapi.CreateSubscriptionsAPIFilters(zap.NewNop(), spec.Filters)
	case spec.Filter != nil:
		f = attributes.NewAttributesFilter(spec.Filter.Attributes)
	default:
		return selects
	}
	return verdict{matches: f.Filter(ctx, s.typed) != eventfilter.FailFilter}
}

func askOurs(t require.TestingT, spec eventingv1.TriggerSpec, s sample) verdict {
	var f *filter.Filter
	for _, part := range []any{spec.Filter, spec.Filters} { // both are read, the last wins
		text, err := json.Marshal(part)
		require.NoError(t, err)
		if a, ok := part.(*eventingv1.TriggerFilter); ok && a != nil {
			text, err = json.Marshal(a.Attributes)
			require.NoError(t, err)
		}
		if string(text) == "null" {
			continue
		}
		g, err := filter.Parse(string(text))
		if err != nil {
			return refuses
		}
		if g != nil {
			f = g
		}
	}
	return verdict{matches: f.Match(s)}
}

// every calls what for each filter of a tree, the outer first.
func every(filters []eventingv1.SubscriptionsAPIFilter, what func(eventingv1.SubscriptionsAPIFilter) bool) bool {
	for _, f := range filters {
		if what(f) || every(f.All, what) || every(f.Any, what) || (f.Not != nil && every([]eventingv1.SubscriptionsAPIFilter{*f.Not}, what)) {
			return true
		}
	}
	return false
}

// someCESQL reports whether any expression has this outcome by the SDK's evaluator.
func someCESQL(spec eventingv1.TriggerSpec, s sample, what func(text string, value any, err error, panics bool) bool) bool {
	return every(spec.Filters, func(f eventingv1.SubscriptionsAPIFilter) (found bool) {
		if f.CESQL == "" {
			return false
		}
		defer func() {
			if recover() != nil {
				found = what(f.CESQL, nil, nil, true)
			}
		}()
		x, err := sqlparser.Parse(f.CESQL)
		if err != nil {
			return false
		}
		value, err := x.Evaluate(s.typed)
		return what(f.CESQL, value, err, false)
	})
}

func filtersOf(filters ...eventingv1.SubscriptionsAPIFilter) eventingv1.TriggerSpec {
	return eventingv1.TriggerSpec{Filters: filters}
}

func attributesOf(pairs ...string) eventingv1.TriggerSpec {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return eventingv1.TriggerSpec{Filter: &eventingv1.TriggerFilter{Attributes: m}}
}

// plainSample has an attribute of each type.
func plainSample() sample { return newSample("/a").with("n", 5).with("paid", true) }

// filterDifference is one on purpose: an example, and to which cases it may be the
// explanation.
type filterDifference struct {
	name, reason  string
	spec          eventingv1.TriggerSpec
	event         sample
	knative, ours verdict
	applies       func(spec eventingv1.TriggerSpec, s sample, knative, ours verdict) bool
}

var filterDifferences = []filterDifference{
	{
		name: "a value that is empty", reason: "Knative's webhook takes it and its broker then passes the filter over, which selects everything",
		spec: filtersOf(eventingv1.SubscriptionsAPIFilter{Exact: map[string]string{"type": ""}}), event: plainSample(),
		knative: selects, ours: refuses,
		applies: func(spec eventingv1.TriggerSpec, _ sample, _, ours verdict) bool {
			return ours.refused && every(spec.Filters, func(f eventingv1.SubscriptionsAPIFilter) bool {
				for _, m := range []map[string]string{f.Exact, f.Prefix, f.Suffix} {
					for _, v := range m {
						if v == "" {
							return true
						}
					}
				}
				return false
			})
		},
	},
	{
		name: "bounds", reason: "a filter is evaluated for every event: 16 KiB, 16 levels, 256 filters and comparisons, CESQL of 4 KiB and 64 levels",
		spec: filtersOf(eventingv1.SubscriptionsAPIFilter{CESQL: strings.Repeat("(", 65) + "TRUE" + strings.Repeat(")", 65)}), event: plainSample(),
		knative: selects, ours: refuses,
		applies: func(spec eventingv1.TriggerSpec, _ sample, _, ours verdict) bool {
			text, err := json.Marshal(spec.Filters)
			return ours.refused && err == nil && len(text) > 4<<10
		},
	},
	{
		name: "an integer in filter.attributes", reason: "knative/eventing#1646: Knative compares the integer of a structured event with the string; its exact does not",
		spec: attributesOf("n", "5"), event: plainSample(),
		knative: rejects, ours: selects,
		applies: func(spec eventingv1.TriggerSpec, _ sample, _, _ verdict) bool {
			return len(spec.Filters) == 0 && (spec.Filter.Attributes["n"] == "5" || spec.Filter.Attributes["paid"] == "true")
		},
	},
	{
		name: "a time that is absent", reason: "Knative takes it for the year 1, so that any time and comparisons with it match",
		spec: attributesOf("time", ""), event: plainSample(),
		knative: selects, ours: rejects,
		applies: func(spec eventingv1.TriggerSpec, s sample, _, _ verdict) bool {
			_, there := s.texts["time"]
			return !there && names(spec, "time")
		},
	},
	{
		name: "a source as it came", reason: "Knative compares what net/url makes of it, we what the publisher wrote and the subscriber gets",
		spec: attributesOf("source", "/a b"), event: newSample("/a b"),
		knative: rejects, ours: selects,
		applies: func(spec eventingv1.TriggerSpec, s sample, _, _ verdict) bool {
			return names(spec, "source") && s.texts["source"] != s.typed.Source()
		},
	},
	{
		name: "datacontentencoding", reason: "an attribute of CloudEvents 0.3 that Knative hides; as an extension it is one like all others",
		spec: attributesOf("datacontentencoding", "x"), event: plainSample().with("datacontentencoding", "x"),
		knative: rejects, ours: selects,
		applies: func(spec eventingv1.TriggerSpec, _ sample, _, _ verdict) bool {
			return names(spec, "datacontentencoding")
		},
	},
	{
		name: "a filter without an opinion among others", reason: "{} has none, nor has what is made of it alone: for Knative the last one decides where nothing else does, in an order that changes while it runs",
		spec: filtersOf(eventingv1.SubscriptionsAPIFilter{Any: []eventingv1.SubscriptionsAPIFilter{
			{Exact: map[string]string{"type": "x"}}, {Not: &eventingv1.SubscriptionsAPIFilter{}},
		}}), event: plainSample(),
		knative: selects, ours: rejects,
		applies: func(spec eventingv1.TriggerSpec, _ sample, _, _ verdict) bool {
			return every(spec.Filters, func(f eventingv1.SubscriptionsAPIFilter) bool {
				among := func(filters []eventingv1.SubscriptionsAPIFilter) bool {
					return slices.ContainsFunc(filters, func(f eventingv1.SubscriptionsAPIFilter) bool {
						return opinionless(f) && (f.Not != nil || len(f.All)+len(f.Any) > 0) // {} is left out before
					})
				}
				return among(f.All) || among(f.Any)
			})
		},
	},
	{
		name: "a missing attribute beside OR", reason: "knative/eventing#7653, CESQL 1.0 section 3.2: evaluation goes on; the SDK gives up at the first error",
		spec: filtersOf(eventingv1.SubscriptionsAPIFilter{CESQL: "missing = 'x' OR id = '1'"}), event: plainSample(),
		knative: rejects, ours: selects,
		applies: func(spec eventingv1.TriggerSpec, s sample, _, _ verdict) bool {
			return someCESQL(spec, s, func(text string, _ any, err error, _ bool) bool {
				return sqlerrors.IsMissingAttributeError(err) && (strings.Contains(text, " OR ") || strings.Contains(text, " AND "))
			})
		},
	},
	{
		name: "an expression that is not boolean", reason: "Knative's filter panics; CESQL 1.0 section 1.2: it does not pass",
		spec: filtersOf(eventingv1.SubscriptionsAPIFilter{CESQL: "n + 1"}), event: plainSample(),
		knative: panicked, ours: rejects,
		applies: func(spec eventingv1.TriggerSpec, s sample, knative, _ verdict) bool {
			return knative.panics && someCESQL(spec, s, func(_ string, value any, _ error, _ bool) bool {
				_, boolean := value.(bool)
				return !boolean
			})
		},
	},
	{
		name: "a function that panics", reason: "SUBSTRING of the SDK does on a negative length; it does not pass",
		spec: filtersOf(eventingv1.SubscriptionsAPIFilter{CESQL: "SUBSTRING(id, 1, -1) = ''"}), event: plainSample(),
		knative: panicked, ours: rejects,
		applies: func(spec eventingv1.TriggerSpec, s sample, knative, _ verdict) bool {
			return knative.panics && someCESQL(spec, s, func(_ string, _ any, _ error, panics bool) bool { return panics })
		},
	},
}

// opinionless is a filter that holds no comparison and no expression.
func opinionless(f eventingv1.SubscriptionsAPIFilter) bool {
	some := func(f eventingv1.SubscriptionsAPIFilter) bool { return !opinionless(f) }
	return len(f.Exact) == 0 && len(f.Prefix) == 0 && len(f.Suffix) == 0 && f.CESQL == "" &&
		(f.Not == nil || opinionless(*f.Not)) && !slices.ContainsFunc(f.All, some) && !slices.ContainsFunc(f.Any, some)
}

// names reports whether a filter compares this attribute.
func names(spec eventingv1.TriggerSpec, name string) bool {
	if spec.Filter != nil {
		if _, ok := spec.Filter.Attributes[name]; ok {
			return true
		}
	}
	return every(spec.Filters, func(f eventingv1.SubscriptionsAPIFilter) bool {
		for _, m := range []map[string]string{f.Exact, f.Prefix, f.Suffix} {
			if _, ok := m[name]; ok {
				return true
			}
		}
		return false
	})
}

// The list says what is: each difference is there still, and explains itself.
func TestFilterDifferences(t *testing.T) {
	t.Parallel()
	for _, d := range filterDifferences {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, d.knative, askKnative(d.spec, d.event), "Knative: %s", d.reason)
			require.Equal(t, d.ours, askOurs(t, d.spec, d.event), "ours: %s", d.reason)
			if d.name != "bounds" { // of which there are several
				require.True(t, d.applies(d.spec, d.event, d.knative, d.ours))
			}
		})
	}
}

// Texts that Knative's types do not decode, or decode to something else.
func TestFilterTextDifferences(t *testing.T) {
	t.Parallel()
	for _, d := range []struct {
		name, text    string
		knative, ours bool
	}{
		{"integers and booleans are read by their text, as YAML leaves out quotes", `[{"exact":{"n":5,"paid":true}}]`, false, true},
		{"null is not a string", `[{"suffix":{"type":"a"}},{"exact":{"n":null}}]`, true, false},
		{"names have capitals and small letters", `[{"Exact":{"type":"com.a"}}]`, true, false},
	} {
		var filters []eventingv1.SubscriptionsAPIFilter
		decoder := json.NewDecoder(strings.NewReader(d.text))
		decoder.DisallowUnknownFields()
		require.Equal(t, d.knative, decoder.Decode(&filters) == nil, d.name)
		_, err := filter.Parse(d.text)
		require.Equal(t, d.ours, err == nil, d.name)
	}
}

// compare fails where the two differ and no difference on purpose explains it.
func compare(t *rapid.T, spec eventingv1.TriggerSpec, s sample) {
	knative, ours := askKnative(spec, s), askOurs(t, spec, s)
	if knative == ours {
		return
	}
	if slices.ContainsFunc(filterDifferences, func(d filterDifference) bool { return d.applies(spec, s, knative, ours) }) {
		return
	}
	text, _ := json.Marshal(spec)
	t.Fatalf("%s\non %v\nKnative %+v\nours    %+v", text, s.texts, knative, ours)
}

var (
	attributeNames = []string{
		"id", "type", "source", "subject", "time", "datacontenttype", "datamediatype", "dataschema", "schemaurl", "specversion",
		"n", "paid", "tenant", "empty", "missing", "datacontentencoding", "Bad", "9a", "a_b", "",
	}
	attributeValues = []string{"", "1", "5", "true", "com.a", "com", "/a", "a", "1.0", "text/plain", "0001-01-01T00:00:00Z", "2026-01-02T03:04:05Z", "acme", "http://s/"}
)

func drawSample(t *rapid.T) sample {
	s := newSample(rapid.SampledFrom([]string{"/a", "http://a/b", "/a b", "HTTP://a"}).Draw(t, "source"))
	maybe := func(name string, value any) {
		if rapid.Bool().Draw(t, name) {
			s = s.with(name, value)
		}
	}
	maybe("n", 5)
	maybe("paid", true)
	maybe("tenant", "acme")
	maybe("empty", "")
	maybe("subject", "a")
	maybe("time", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	maybe("datacontenttype", "text/plain; charset=utf-8")
	maybe("dataschema", "http://s/")
	maybe("datacontentencoding", "base64")
	return s
}

func drawComparisons(t *rapid.T) map[string]string {
	m := map[string]string{}
	for range rapid.IntRange(0, 2).Draw(t, "comparisons") {
		m[rapid.SampledFrom(attributeNames).Draw(t, "name")] = rapid.SampledFrom(attributeValues).Draw(t, "value")
	}
	return m
}

func drawFilter(t *rapid.T, depth int) eventingv1.SubscriptionsAPIFilter {
	var f eventingv1.SubscriptionsAPIFilter
	for range rapid.SampledFrom([]int{1, 1, 1, 1, 1, 1, 0, 2}).Draw(t, "dialects") {
		most := 6
		if depth == 0 {
			most = 3
		}
		switch rapid.IntRange(0, most).Draw(t, "dialect") {
		case 0:
			f.Exact = drawComparisons(t)
		case 1:
			f.Prefix = drawComparisons(t)
		case 2:
			f.Suffix = drawComparisons(t)
		case 3:
			f.CESQL = drawCESQL(t, 3)
		case 4:
			f.All = drawFilters(t, depth-1)
		case 5:
			f.Any = drawFilters(t, depth-1)
		case 6:
			not := drawFilter(t, depth-1)
			f.Not = &not
		}
	}
	return f
}

func drawFilters(t *rapid.T, depth int) []eventingv1.SubscriptionsAPIFilter {
	filters := make([]eventingv1.SubscriptionsAPIFilter, rapid.IntRange(0, 3).Draw(t, "filters"))
	for i := range filters {
		filters[i] = drawFilter(t, depth)
	}
	return filters
}

// drawCESQL draws expressions that mostly parse.
func drawCESQL(t *rapid.T, depth int) string {
	if depth == 0 {
		return rapid.SampledFrom([]string{
			"id", "type", "source", "time", "n", "paid", "tenant", "empty", "missing", "'x'", "\"1\"", "'it\\'s'", "1", "5", "-7", "TRUE", "false", "2147483648", "", "$", "Type",
		}).Draw(t, "atom")
	}
	a, b := drawCESQL(t, depth-1), drawCESQL(t, rapid.IntRange(0, depth-1).Draw(t, "depth"))
	switch rapid.IntRange(0, 9).Draw(t, "rule") {
	case 0:
		return "(" + a + ")"
	case 1:
		return "NOT " + a
	case 2:
		return "- " + a
	case 3:
		return "EXISTS " + rapid.SampledFrom([]string{"id", "n", "subject", "missing"}).Draw(t, "exists")
	case 4:
		return a + rapid.SampledFrom([]string{"", " NOT"}).Draw(t, "not") + " LIKE " + rapid.SampledFrom([]string{"'com%'", "'_'", "'%'", "''", "'a\\%'", "5"}).Draw(t, "pattern")
	case 5:
		return a + rapid.SampledFrom([]string{"", " NOT"}).Draw(t, "not") + " IN (" + b + ", " + a + ")"
	case 6:
		f := rapid.SampledFrom([]string{"INT", "BOOL", "STRING", "IS_INT", "IS_BOOL", "ABS", "LENGTH", "lower", "UPPER", "TRIM", "NONE"}).Draw(t, "function")
		return f + "(" + a + ")"
	case 7:
		f := rapid.SampledFrom([]string{"CONCAT", "CONCAT_WS", "LEFT", "RIGHT", "SUBSTRING"}).Draw(t, "function")
		return f + "(" + a + ", " + b + ")"
	default:
		op := rapid.SampledFrom([]string{"AND", "OR", "OR", "AND", "XOR", "=", "=", "!=", "<>", "<", ">", "<=", ">=", "+", "-", "*", "/", "%"}).Draw(t, "operator")
		return a + " " + op + " " + b
	}
}

func compareFilters(t *rapid.T) {
	compare(t, eventingv1.TriggerSpec{Filters: drawFilters(t, 3)}, drawSample(t))
}

func compareCESQL(t *rapid.T) {
	compare(t, filtersOf(eventingv1.SubscriptionsAPIFilter{CESQL: drawCESQL(t, 4)}), drawSample(t))
}

func compareAttributes(t *rapid.T) {
	compare(t, eventingv1.TriggerSpec{Filter: &eventingv1.TriggerFilter{Attributes: drawComparisons(t)}}, drawSample(t))
}

func TestFiltersAgree(t *testing.T)    { t.Parallel(); rapid.Check(t, compareFilters) }
func TestCESQLAgrees(t *testing.T)     { t.Parallel(); rapid.Check(t, compareCESQL) }
func TestAttributesAgree(t *testing.T) { t.Parallel(); rapid.Check(t, compareAttributes) }

func FuzzFiltersAgree(f *testing.F) { f.Fuzz(rapid.MakeFuzz(compareFilters)) }
func FuzzCESQLAgrees(f *testing.F)  { f.Fuzz(rapid.MakeFuzz(compareCESQL)) }
