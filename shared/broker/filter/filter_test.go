package filter

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"
)

// attributes are those of one event; asked counts the calls of Event.
type attributes struct {
	event event.Event
	texts map[string]string
	asked int
}

func (a *attributes) Attribute(name string) (string, bool) {
	text, ok := a.texts[name]
	return text, ok
}

func (a *attributes) Event() event.Event {
	a.asked++
	return a.event
}

func anEvent() *attributes {
	e := event.New()
	e.SetID("1")
	e.SetSource("/orders/eu")
	e.SetType("com.example.created")
	e.SetSubject("order-7")
	e.SetDataContentType("text/plain; charset=utf-8")
	e.SetExtension("tenantid", "acme")
	e.SetExtension("n", 5)
	e.SetExtension("paid", true)
	e.SetExtension("empty", "")
	return &attributes{event: e, texts: map[string]string{
		"specversion": "1.0", "id": "1", "source": "/orders/eu", "type": "com.example.created", "subject": "order-7",
		"datacontenttype": "text/plain; charset=utf-8", "tenantid": "acme", "n": "5", "paid": "true", "empty": "",
	}}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		``:                               true,
		`{}`:                             true,
		`[]`:                             true,
		`[{}]`:                           true,
		`{"type":"com.example.created"}`: true,
		`{"type":"com.example.created","tenantid":"other"}`: false,
		`{"tenantid":""}`:                 true,
		`{"missing":""}`:                  false,
		`{"empty":""}`:                    false,
		`{"specversion":"1.0"}`:           true,
		`{"n":"5","paid":"true"}`:         true, // of a structured event: integer, boolean
		`{"n":5,"paid":true}`:             true,
		`[{"exact":{"n":5}}]`:             true,
		`{"n":"6"}`:                       false,
		`{"datamediatype":"text/plain"}`:  true,
		`{"schemaurl":""}`:                false,
		`[{"exact":{"n":"5"}}]`:           true,
		`[{"exact":{"tenantid":"acme"}}]`: true,
		`[{"exact":{"tenantid":"acme"}},{"exact":{"tenantid":"x"}}]`:         false,
		`[{"exact":{"missing":"x"}}]`:                                        false,
		`[{"prefix":{"type":"com.example."}}]`:                               true,
		`[{"prefix":{"missing":"c"}}]`:                                       false,
		`[{"suffix":{"source":"/us"}}]`:                                      false,
		`[{"all":[{"prefix":{"type":"com."}},{"suffix":{"source":"/eu"}}]}]`: true,
		`[{"all":[{"prefix":{"type":"com."}},{"suffix":{"source":"/us"}}]}]`: false,
		`[{"any":[{"exact":{"type":"x"}},{"suffix":{"source":"/eu"}}]}]`:     true,
		`[{"any":[{"exact":{"type":"x"}},{"exact":{"type":"y"}}]}]`:          false,
		`[{"not":{"exact":{"type":"x"}}}]`:                                   true,
		`[{"not":{"exact":{"missing":"x"}}}]`:                                true,
		`[{"not":{"prefix":{"type":"com"}}}]`:                                false,
		`[{"not":{"not":{"prefix":{"type":"com"}}}}]`:                        true,
		`[{"not":{}}]`:                                                          true, // as Knative has it
		`[{"any":[{},{"exact":{"type":"x"}}]}]`:                                 false,
		`[{"all":[{},{"exact":{"type":"com.example.created"}}]}]`:               true,
		`[{"not":{"all":[{"exact":{"type":"com.example.created"}},{}]}}]`:       false,
		`[{"exact":{},"all":[],"not":null,"cesql":"","prefix":{"type":"com"}}]`: true,
	} {
		f, err := Parse(text)
		require.NoError(t, err, text)
		require.Equal(t, want, f.Match(anEvent()), text)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for text, problem := range map[string]string{
		`[{"exact":{"type":""}}]`:                                `filters[0].exact[type]: must not be empty`,
		`[{"exact":{"Bad_Name":"x"}}]`:                           `filters[0].exact[Bad_Name]: must be named`,
		`[{"any":[{"exact":{"type":"x"}},{"prefix":{"a":""}}]}]`: `filters[0].any[1].prefix[a]`,
		`[{"not":{"suffix":{"type":""}}}]`:                       `filters[0].not.suffix[type]`,
		`[{"cesql":"type ="}]`:                                   `filters[0].cesql: parse expression: line 1`,
		`[{"cesql":5}]`:                                          `filters[0].cesql: must be a string`,
		`[{"exact":{"type":"x"},"prefix":{"type":"x"}}]`:         `filters[0]: has more than one dialect: exact, prefix`,
		`[{"exact":{"type":"x"},"not":{}}]`:                      `filters[0]: has more than one dialect: exact, not`,
		`[{"Exact":{"type":"x"}}]`:                               `filters[0].Exact: unknown field`,
		`[{"exact":{"n":1.5}}]`:                                  `filters[0].exact[n]: must be a string: write 1.5 in quotes`,
		`{"n":[]}`:                                               `filter.attributes[n]: must be a string`,
		`[{"exact":{"n":null}}]`:                                 `filters[0].exact[n]: must be a string`,
		`[{"exact":[]}]`:                                         `filters[0].exact: must be an object`,
		`[{"all":{}}]`:                                           `filters[0].all: must be an array`,
		`[5]`:                                                    `filters[0]: must be an object`,
		`[`:                                                      `filters: must be an array`,
		`{"type":"x"`:                                            `filter.attributes: must be an object`,
		`{"Bad_Name":"x"}`:                                       `filter.attributes[Bad_Name]`,
		`{"9a":"x"}`:                                             `filter.attributes[9a]`,
		`{"":"x"}`:                                               `filter.attributes[]`,
		`"type"`:                                                 `must be an object of attributes or an array`,
		`[]x`:                                                    `filters: must be an array`,
		`{"a":"` + strings.Repeat("x", maxText) + `"}`: `at most 16384`,
		// A line separator takes six bytes in JSON.
		`{"a":"` + strings.Repeat("\u2028", maxText/4) + `"}`:                                                        `in canonical form`,
		strings.Repeat(`[{"all":`, 17) + `[]` + strings.Repeat(`}]`, 17):                                             `more than 16 levels`,
		`[` + strings.Repeat(`{"not":`, 17) + `{}` + strings.Repeat(`}`, 17) + `]`:                                   `more than 16 levels`,
		`[{}` + strings.Repeat(`,{}`, maxNodes) + `]`:                                                                `filters: more than 256 filters`,
		`[{}` + strings.Repeat(`,{"not":{}}`, maxNodes/2) + `]`:                                                      `more than 256 filters`,
		`[{"cesql":"` + strings.Repeat(" ", maxExpression) + `1"}]`:                                                  `at most 4096`,
		`[{"cesql":"` + strings.Repeat("(", maxNesting+1) + strings.Repeat(")", maxNesting+1) + `"}]`:                `nested more than 64`,
		`[{"cesql":"` + strings.Repeat("not -", maxNesting/2) + ` not TRUE"}]`:                                       `nested more than 64`,
		`[{"cesql":"` + strings.Repeat("NOT (a AND ", maxNesting) + `TRUE` + strings.Repeat(")", maxNesting) + `"}]`: `nested more than 64`,
		`[{"cesql":"2147483648 = n"}]`:                                                                               `2147483648 is not a 32-bit integer`,
	} {
		_, err := Parse(text)
		require.ErrorContains(t, err, problem, text)
	}
	names := make([]string, maxComparisons+1)
	for i := range names {
		names[i] = fmt.Sprintf(`"a%d":"x"`, i)
	}
	_, err := Parse(`{` + strings.Join(names, ",") + `}`)
	require.ErrorContains(t, err, "more than 256 comparisons")
}

func TestParseNamesEveryProblem(t *testing.T) {
	t.Parallel()
	_, err := Parse(`[{"exact":{"A":"x","b":""}},{"cesql":"("},{"some":1}]`)
	require.EqualError(t, err, "filters[0].exact[A]: must be named by a letter and then letters or digits, all lower case\n"+
		"filters[0].exact[b]: must not be empty\n"+
		"filters[1].cesql: parse expression: line 1, column 2: mismatched input '<EOF>' expecting {'(', 'NOT', '-', 'EXISTS', 'TRUE', 'FALSE', DQUOTED_STRING_LITERAL, SQUOTED_STRING_LITERAL, INTEGER_LITERAL, IDENTIFIER, IDENTIFIER_WITH_NUMBER, FUNCTION_IDENTIFIER_WITH_UNDERSCORE}\n"+
		"filters[2].some: unknown field")
	many := `[{"x":1}` + strings.Repeat(`,{"x":1}`, 99) + `]`
	_, err = Parse(many)
	require.Len(t, strings.Split(err.Error(), "\n"), maxProblems+1)
}

func TestString(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		``: ``, `[]`: ``, ` {} `: ``,
		`{"type":"a","id":"<b>"}`:                          `{"id":"<b>","type":"a"}`,
		`[{"not":{"any":[{"suffix":{"type":"a"}},null]}}]`: `[{"not":{"any":[{"suffix":{"type":"a"}},{}]}}]`,
		`{"n":5,"b":false}`:                                `{"b":"false","n":"5"}`,
		`[{"cesql":"type <> \"a\"","all":[]}]`:             `[{"cesql":"type <> \"a\""}]`,
	} {
		f, err := Parse(text)
		require.NoError(t, err, text)
		require.Equal(t, want, f.String())
	}
}

func TestCESQL(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]bool{
		"type LIKE 'com.%' AND n > 4":    true,
		"n > 5":                          false,
		"paid":                           true,
		"EXISTS missing":                 false,
		"EXISTS subject":                 true,
		"NOT EXISTS missing":             true,
		"n + 1":                          false, // not a boolean
		"subject":                        false, // neither
		"1 / 0 = 1":                      false, // an error
		"SUBSTRING(id, 1, -1) = ''":      false, // the SDK panics
		"INT(subject) = 1 OR TRUE":       false, // a failed cast is not a missing attribute
		"NOFUNCTION(id)":                 false,
		"type = 'com.example.created' $": true, // as the SDK's parser has it

		// Beside AND and OR a missing attribute counts where it matters, on either side.
		"missing = 'x'":                                     false,
		"missing = 'x' OR id = '1'":                         true,
		"id = '1' OR missing = 'x'":                         true,
		"missing = 'x' OR id = '2'":                         false,
		"missing OR id = '1'":                               true,
		"missing = 'x' AND id = '1'":                        false,
		"NOT (missing = 'x' AND id = '2')":                  true,
		"NOT (id = '2' AND missing = 'x')":                  true,
		"NOT (missing = 'x' AND id = '1')":                  false,
		"NOT (missing = 'x')":                               false,
		"missing != 'x'":                                    false,
		"missing = 'x' XOR TRUE":                            false,
		"(missing = 'x' OR TRUE) = TRUE":                    true,
		"missing = 'x' OR other = 'y' OR id = '1'":          true,
		"(missing = 'x' OR other = 'y') AND id = '1'":       false,
		"missing IN ('a', 'b') OR tenantid IN ('acme')":     true,
		"missing LIKE 'a%' OR LENGTH(missing) > 2 OR n = 5": true,
		"missing = 'x' OR 1 / 0 = 1":                        false,
	} {
		f, err := Parse(`[{"cesql":` + string(appendString(nil, expression)) + `}]`)
		require.NoError(t, err, expression)
		require.Equal(t, want, f.Match(anEvent()), expression)
	}
}

func TestTypedEventIsMadeOnceAndForCESQLOnly(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		`[{"exact":{"type":"a"}}]`: 0,
		`[{"any":[{"cesql":"id = 'x'"},{"not":{"cesql":"id = '1'"}},{"cesql":"TRUE"}]}]`: 1,
		`[{"exact":{"type":"a"}},{"cesql":"TRUE"}]`:                                      0,
	} {
		f, err := Parse(text)
		require.NoError(t, err)
		a := anEvent()
		f.Match(a)
		require.Equal(t, want, a.asked, text)
	}
}

const everyDialect = `[{"exact":{"type":"com.example.created","n":"5"}},{"prefix":{"source":"/orders"}},` +
	`{"all":[{"suffix":{"source":"/eu"}},{"any":[{"exact":{"id":"0"}},{"exact":{"id":"1"}}]}]},{"not":{"exact":{"subject":"x"}}}]`

func TestMatchAllocatesNothing(t *testing.T) {
	for _, text := range []string{everyDialect, `{"type":"com.example.created","tenantid":""}`, `{"datamediatype":"text/plain"}`} {
		f, err := Parse(text)
		require.NoError(t, err)
		var a Attributes = anEvent()
		require.True(t, f.Match(a))
		require.Zero(t, testing.AllocsPerRun(100, func() { f.Match(a) }))
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	text := `[{"any":[{"cesql":"type LIKE 'com.%' AND n > 4"},` + everyDialect[1:len(everyDialect)-1] + `]}]`
	f, err := Parse(text)
	require.NoError(t, err)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				if !f.Match(anEvent()) {
					t.Error("no match")
				}
				if _, err := Parse(text); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		everyDialect, `{"type":"a"}`, `[{"cesql":"missing = 'x' OR TRUE"}]`, `[null,{"not":{}}]`, `[{"exact":{"a":"\ud800"}}]`,
		`[{"cesql":"SUBSTRING(id, 1, -1) = '' OR INT('x') / 0 = 1"}]`, "{\"a\":\"\xff\"}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		filter, err := Parse(text)
		if err != nil {
			return
		}
		match := filter.Match(anEvent())
		again, err := Parse(filter.String())
		require.NoError(t, err)
		require.Equal(t, filter.String(), again.String())
		require.Equal(t, match, again.Match(anEvent()))
	})
}

func FuzzCESQL(f *testing.F) {
	for _, s := range []string{"TRUE", "n > 4", "type LIKE '%'", "((", "INT('x') / 0 = 1", "NOT", "n IN (1, 2)", "1 / 0", "missing OR TRUE"} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, text string) {
		if x, err := parseCESQL(text); err == nil {
			x.holds(anEvent().event)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	for name, text := range map[string]string{
		"attributes": `{"type":"com.example.created"}`, "dialects": everyDialect, "cesql": `[{"cesql":"type LIKE 'com.%' AND n > 4"}]`,
	} {
		b.Run(name, func(b *testing.B) {
			f, err := Parse(text)
			require.NoError(b, err)
			var a Attributes = anEvent()
			b.ReportAllocs()
			for b.Loop() {
				f.Match(a)
			}
		})
	}
}
