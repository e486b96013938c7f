package trading_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/trading"
)

// made is how many bytes f makes in memory, living or not.
func made(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// repeated is an API that answers with a text over and over: 16 MiB of it, made as it
// is read.
func repeated(t *testing.T, begin, again string) *trading.Client {
	t.Helper()
	block := []byte(strings.Repeat(again, 64<<10/len(again)))
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, err := w.Write([]byte(begin))
		for n := 0; n < 16<<20 && err == nil; n += len(block) {
			_, err = w.Write(block)
		}
	}))
	t.Cleanup(api.Close)
	c, err := trading.New(trading.Config{URL: api.URL})
	require.NoError(t, err)
	return c
}

// Not in parallel: it looks at what the whole process makes.
func TestAnswersCostNoMoreThanWasAskedFor(t *testing.T) {
	const most = 24 << 20
	page := func(c *trading.Client) error { _, err := c.Page(t.Context(), "r", "", 0); return err }
	best := func(c *trading.Client) error { _, err := c.Best(t.Context(), "r", ""); return err }
	jobs := func(c *trading.Client) error { _, err := c.Jobs(t.Context()); return err }
	one := func(c *trading.Client) error { _, err := c.Job(t.Context(), "j"); return err }
	for name, c := range map[string]struct {
		begin, again string
		call         func(*trading.Client) error
		fails        string
	}{
		"rows":               {`{"total_count":5,"results":[`, `{},`, page, ""},
		"best rows":          {`{"results":[`, `{},`, best, ""},
		"a long row":         {`{"results":[{"ticker":"`, `x`, page, "too large"},
		"a deep row":         {`{"results":[{"avg_trade_duration":`, `[`, page, "depth"},
		"another member":     {`{"more":[`, `1,`, page, "too large"},
		"a deep member":      {`{"more":`, `[`, page, "depth"},
		"nothing":            {``, ` `, page, "too large"},
		"jobs":               {`[`, `{"job_id":"j"},`, jobs, ""},
		"wrapped jobs":       {`{"jobs":[`, `0,`, jobs, ""},
		"a job":              {`{"job_id":"j","status":"running","error_message":"`, `x`, one, "too large"},
		"a job that is deep": {`{"result_data":`, `[`, one, "depth"},
	} {
		api := repeated(t, c.begin, c.again)
		var err error
		require.Less(t, made(func() { err = c.call(api) }), uint64(most), name)
		if c.fails == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, c.fails, name)
		var e *trading.Error
		require.ErrorAs(t, err, &e)
		require.True(t, e.Unreadable(), name)
	}
}

// An API that gives more rows than it was asked for gives the rest with the next page.
func TestAPageThatIsLongerThanAsked(t *testing.T) {
	t.Parallel()
	rows := strings.TrimSuffix(strings.Repeat(`{"fast_period":5},`, 501), ",")
	for _, body := range []string{`{"total_count":501,"results":[` + rows + `]}`, `{"results":[` + rows + `],"total_count":501}`, `{"total_count":7,"results":[` + rows + `]}`} {
		p, err := answering(t, 200, body).Page(t.Context(), "r", "", 0)
		require.NoError(t, err)
		require.Len(t, p.Rows, 500)
		require.False(t, p.Last)
	}
	p, err := answering(t, 200, fmt.Sprintf(`{"results":[%s],"total_count":500,"synthetic":true}`, rows[:len(rows)-len(`,{"fast_period":5}`)])).Page(t.Context(), "r", "", 0)
	require.NoError(t, err)
	require.True(t, p.Last)
	require.True(t, p.Rows[499].Synthetic)
}

// What the API says of its prices is kept as far as it is of our form; it need not say
// anything, and what else it has there spoils no page.
func TestWhatAPageSaysOfItsPrices(t *testing.T) {
	t.Parallel()
	held := 236.5
	for said, want := range map[string]*job.Data{
		`"x":1`: nil,
		`"data":{"source":"a\u0000b.csv","first_day":"2020-01-02","last_day":"2024-12-30","bars":7,"hash":"sha256:0","more":[1]},"data_source":"b"`: {
			Source: "a b.csv", FirstDay: "2020-01-02", LastDay: "2024-12-30", Bars: 7, Hash: "sha256:0",
		},
		`"data_source":"feed"`:                                 {Source: "feed"},
		`"data_source":["feed"]`:                               nil,
		`"data":[1,2],"data_source":"feed"`:                    {Source: "feed"},
		`"data":{"bars":"many","source":"a"}`:                  nil,
		`"data":{"buy_and_hold_pct":236.5}`:                    {BuyAndHoldPct: &held},
		`"data":{"buy_and_hold_pct":"much"}`:                   nil,
		`"data":{"bars":-1}`:                                   nil,
		`"data":null`:                                          nil,
		`"data":{"source":"` + strings.Repeat("x", 300) + `"}`: {Source: strings.Repeat("x", 200) + "…"},
	} {
		p, err := answering(t, 200, `{`+said+`,"total_count":0,"results":[]}`).Page(t.Context(), "r", "", 0)
		require.NoError(t, err, said)
		require.Equal(t, want, p.Data, said)
	}
}

func TestAnswersAreOneValue(t *testing.T) {
	t.Parallel()
	for _, body := range []string{``, `null x`, `{"results":[]} {}`, `{"results":[`, `{"results":7}`, `{"results":{}}`, `[]`, `7`, `{"results":[],"total_count":"x"}`, `{"a"`} {
		_, err := answering(t, 200, body).Page(t.Context(), "r", "", 0)
		var e *trading.Error
		require.ErrorAs(t, err, &e, body)
		require.True(t, e.Unreadable(), body)
	}
}

// What is unseen, and turns the text around it, is not kept.
func TestTextsOfTheAPIArePrintable(t *testing.T) {
	t.Parallel()
	j, err := answering(t, 200, `{"status":"failed","error_message":"a\u001b[2Jb\u202ec\u009bd\u200be\u2028f"}`).Job(t.Context(), "j")
	require.NoError(t, err)
	require.Equal(t, "a [2Jbc de f", j.ErrorMessage)
}

func FuzzAnswers(f *testing.F) {
	f.Add(`{"total_count":1,"synthetic":true,"more":{"a":[1,{}]},"results":[{"fast_period":5.0,"avg_trade_duration":"1 days"}]}`)
	f.Add(`[{"job_id":"a","status":"running"},7,{"jobs":[]}]`)
	f.Add(`{"x":[[]],"jobs":[{"job_id":"a"}],"jobs":[]}`)
	f.Fuzz(func(t *testing.T, body string) {
		c, err := trading.New(trading.Config{URL: "http://api"}, trading.WithTransport(always(body)))
		require.NoError(t, err)
		p, err := c.Page(t.Context(), "r", "", 0)
		require.LessOrEqual(t, len(p.Rows), 500)
		var e *trading.Error
		if err != nil {
			require.ErrorAs(t, err, &e)
		}
		jobs, err := c.Jobs(t.Context())
		require.LessOrEqual(t, len(jobs), 5000)
		if err != nil {
			require.ErrorAs(t, err, &e)
		}
	})
}

// always is a transport that gives one answer.
type always string

func (a always) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(string(a))), Header: http.Header{}, Request: r}, nil
}
