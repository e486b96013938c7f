package job_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
)

const valid = `{"ticker":"DAX","fast_range":[10,50],"slow_range":[20,200],"step":5}`

func parse(data []byte) (job.Sweep, error) {
	r, err := job.ParseRequest(data)
	return r.Sweep, err
}

func TestParseSweepFillsDefaults(t *testing.T) {
	t.Parallel()
	s, err := parse([]byte(valid))
	require.NoError(t, err)
	require.Equal(t, job.Sweep{
		Ticker: "DAX", FastRange: [2]int{10, 50}, SlowRange: [2]int{20, 200},
		Step: 5, MinTrades: 50, StrategyType: job.SMA,
	}, s)
}

func TestParseSweepNamesEveryProblemAtOnce(t *testing.T) {
	t.Parallel()
	_, err := parse([]byte(`{"ticker":"x!","fast_range":[0,50],"step":"5","min_trades":5,
		"strategy_type":"RSI","config_path":"","colour":1}`))
	var invalid job.Invalid
	require.ErrorAs(t, err, &invalid)
	var fields []string
	for _, p := range invalid {
		fields = append(fields, p.Field)
	}
	require.Equal(t, []string{"colour", "config_path", "fast_range", "min_trades", "slow_range", "step", "strategy_type", "ticker"}, fields)
}

func TestParseSweepRefuses(t *testing.T) {
	t.Parallel()
	with := func(field, value string) string {
		var m map[string]json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(valid), &m))
		m[field] = json.RawMessage(value)
		out, err := json.Marshal(m)
		require.NoError(t, err)
		return string(out)
	}
	for name, c := range map[string]struct{ body, field string }{
		"empty":                {``, "body"},
		"no object":            {`[]`, "body"},
		"null":                 {`null`, "body"},
		"cut off":              {valid[:20], "body"},
		"not a number":         {`{"step":NaN}`, "body"},
		"text after":           {valid + `x`, "body"},
		"second object":        {valid + valid, "body"},
		"deep nesting":         {`{"ticker":` + strings.Repeat("[", 20000), "body"},
		"deep but closed":      {with("ticker", strings.Repeat("[", 5000)+strings.Repeat("]", 5000)), "ticker"},
		"repeated field":       {`{"step":1,` + valid[1:], "step"},
		"huge number":          {with("step", "1"+strings.Repeat("0", 400)), "step"},
		"exponent":             {with("step", "1e1"), "step"},
		"fraction":             {with("step", "5.0"), "step"},
		"boolean":              {with("step", "true"), "step"},
		"null field":           {with("step", "null"), "step"},
		"step 0":               {with("step", "0"), "step"},
		"step 51":              {with("step", "51"), "step"},
		"three numbers":        {with("fast_range", "[1,2,3]"), "fast_range"},
		"range of texts":       {with("fast_range", `["1","2"]`), "fast_range"},
		"range falls":          {with("fast_range", "[50,10]"), "fast_range"},
		"range over 500":       {with("slow_range", "[20,501]"), "slow_range"},
		"fast min = slow min":  {with("fast_range", "[20,50]"), "slow_range"},
		"fast max = slow max":  {with("fast_range", "[10,200]"), "slow_range"},
		"min_trades 9":         {with("min_trades", "9"), "min_trades"},
		"min_trades 1001":      {with("min_trades", "1001"), "min_trades"},
		"ticker of 2":          {with("ticker", `"DA"`), "ticker"},
		"ticker of 21":         {with("ticker", `"`+strings.Repeat("A", 21)+`"`), "ticker"},
		"ticker with newline":  {with("ticker", `"DAX\n"`), "ticker"},
		"ticker is an object":  {with("ticker", `{}`), "ticker"},
		"strategy lower case":  {with("strategy_type", `"sma"`), "strategy_type"},
		"config path of three": {with("config_path", `"maximum"`), "config_path"},
		"unknown field":        {with("x", `1`), "x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parse([]byte(c.body))
			var invalid job.Invalid
			require.ErrorAs(t, err, &invalid)
			require.Len(t, invalid, 1, "%v", invalid)
			require.Equal(t, c.field, invalid[0].Field)
			require.NotEmpty(t, invalid[0].Message)
		})
	}
}

func TestParseSweepTakesLimits(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"ticker":"^GSPC","fast_range":[1,1],"slow_range":[2,500],"step":1,"min_trades":10}`,
		`{"ticker":"BTC-USD","fast_range":[499,499],"slow_range":[500,500],"step":50,"min_trades":1000,"strategy_type":"MACD"}`,
		` {"ticker":"EURUSD=X","fast_range":[ 1 , 2 ],"slow_range":[2,3],"step":1,"strategy_type":"EMA","config_path":"standard"} `,
	} {
		_, err := parse([]byte(body))
		require.NoError(t, err, body)
	}
}

func TestCombinations(t *testing.T) {
	t.Parallel()
	s := job.Sweep{FastRange: [2]int{5, 15}, SlowRange: [2]int{10, 20}, Step: 5}
	// (5,10) (5,15) (5,20) (10,15) (10,20) (15,20)
	require.Equal(t, 6, s.Combinations())
}

func TestIDs(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 1, 2, 23, 0, 0, 0, time.UTC)
	require.NotEqual(t, job.DeriveID("a", "bc", day), job.DeriveID("ab", "c", day))
	first := job.DeriveID("a", "b", day)
	require.Equal(t, first, job.DeriveID("a", "b", day.Add(59*time.Minute)))
	require.NotEqual(t, first, job.DeriveID("a", "b", day.Add(24*time.Hour)), "its 24 hours are over")
	require.True(t, job.ValidID(job.NewID()))
	require.True(t, job.ValidID(first))
	for _, bad := range []string{"", "x", "../etc", strings.ToUpper(job.NewID()), "{" + job.NewID() + "}"} {
		require.False(t, job.ValidID(bad), bad)
	}
}

func FuzzParseSweep(f *testing.F) {
	f.Add([]byte(valid))
	f.Add([]byte(`{"ticker":"DAX","step":1,"step":2}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := parse(body)
		if err != nil {
			require.Error(t, err)
			var invalid job.Invalid
			require.ErrorAs(t, err, &invalid)
			return
		}
		require.NoError(t, s.Validate())
		again, err := json.Marshal(s)
		require.NoError(t, err)
		back, err := parse(again)
		require.NoError(t, err)
		require.Equal(t, s, back)
	})
}

func TestManyMistakesAreToldInFewWords(t *testing.T) {
	t.Parallel()
	var names strings.Builder
	for i := range mostUnknown {
		fmt.Fprintf(&names, `"f%d":1,`, i)
	}
	_, err := parse([]byte("{" + strings.TrimSuffix(names.String(), ",") + "}"))
	var p job.Invalid
	require.ErrorAs(t, err, &p)
	require.Greater(t, len(p), 40)
	few := p.Few()
	require.Len(t, few, 21)
	require.Equal(t, job.Problem{Field: "body", Message: fmt.Sprintf("and %d more problems", len(p)-20)}, few[20])
	require.Less(t, len(p.Error()), 2000)

	_, err = parse([]byte("{" + names.String() + strings.ReplaceAll(names.String(), "f", "g") + `"x":1}`))
	require.EqualError(t, err, "body: has more than 64 fields")
	require.Equal(t, p[:3], p[:3].Few())
}

const mostUnknown = 60

func TestPrintable(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Ä € 日本": "Ä € 日本", "a\x1b[2J\x07": "a [2J ", "a\u009b\u0085b": "a  b", "\u202ea\u2066b\u200fc": "abc", "\ufeffa\u00ad": "a", "a\u2028b": "a b",
	} {
		require.Equal(t, want, strings.Map(job.Printable, in))
	}
}
