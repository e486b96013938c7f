package trading

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/zixly/sweepline/shared/job"
)

const (
	// pageSize is the most rows that the API gives at once.
	pageSize = 500
	// leastPage is what a page has at least, behind the first shortRows rows, that is not
	// the last one: each page costs a call, of which all jobs have a few in a minute.
	leastPage = 50
	shortRows = 1000
)

// Best is the API's own choice of rows, best score first.
type Best struct {
	RunID  string
	Ticker string
	// RunDate is zero where the API gives none.
	RunDate time.Time
	// Total is the API's total_results.
	Total int
	Rows  []job.Row
	// Synthetic marks results on made-up prices; only the simulator says so.
	Synthetic bool
}

// Best asks for the best rows of a run; ticker may be empty.
func (c *Client) Best(ctx context.Context, runID, ticker string) (Best, error) {
	const op = "read best results"
	if !runIDForm().MatchString(runID) {
		return Best{}, badID(op)
	}
	var body pageBody
	err := c.do(ctx, call{
		op: op, endpoint: "best", method: http.MethodGet, most: maxPage,
		path: []string{"api", "v1", "sweeps", runID, "best"}, query: tickerQuery(ticker),
	}, &body)
	if err != nil {
		return Best{}, err
	}
	b := Best{RunID: runID, Ticker: body.ticker, RunDate: body.runDate.Time, Synthetic: body.synthetic, Rows: body.rows}
	if body.total != nil {
		b.Total = *body.total
	}
	return b, nil
}

// Page is a part of a run's rows.
type Page struct {
	Rows []job.Row
	// Total is how many rows the run has, -1 where the API does not say.
	Total int
	// Last: no rows follow.
	Last bool
	// Synthetic marks a run on made-up prices; only the simulator says so.
	Synthetic bool
	// Data is what the run was computed on; nil where the API does not say.
	Data *job.Data
}

// Page returns the combinations of a run from offset on, at most 500, in the
// API's order; ticker may be empty. It takes one call, which the caller paces.
func (c *Client) Page(ctx context.Context, runID, ticker string, offset int) (Page, error) {
	const op = "read results"
	if !runIDForm().MatchString(runID) {
		return Page{}, badID(op)
	}
	query := tickerQuery(ticker)
	query.Set("limit", strconv.Itoa(pageSize))
	query.Set("offset", strconv.Itoa(offset))
	var body pageBody
	err := c.do(ctx, call{
		op: op, endpoint: "results", method: http.MethodGet, most: maxPage,
		path: []string{"api", "v1", "sweeps", runID}, query: query,
	}, &body)
	if err != nil {
		return Page{}, err
	}
	p := Page{Total: -1, Synthetic: body.synthetic, Data: body.prices(), Rows: body.rows}
	if body.total != nil {
		p.Total = *body.total
	}
	for i := range p.Rows {
		p.Rows[i].Synthetic = body.synthetic
	}
	next := offset + len(p.Rows)
	switch {
	case body.more: // it gives more than it is asked for; what it left out here comes with the next page
	case next < p.Total && (len(p.Rows) == 0 || len(p.Rows) < leastPage && offset >= shortRows):
		// A run cut short in the middle must not pass for the whole.
		return Page{}, &Error{Op: op, Status: http.StatusOK, sent: true, Detail: fmt.Sprintf("%d rows after %d of %d", len(p.Rows), offset, p.Total)}
	case len(p.Rows) == 0:
		p.Last = true
	case p.Total < 0:
		p.Last = len(p.Rows) < pageSize
	default:
		p.Last = next >= p.Total
	}
	return p, nil
}

func tickerQuery(ticker string) url.Values {
	if ticker == "" {
		return url.Values{}
	}
	return url.Values{"ticker": {ticker}}
}

// rowBody is a row as the API writes it. The fields below stand before those of
// job.Row because the service computes with data frames: whole numbers may come
// as 45.0 and durations as "12 days 06:00:00".
type rowBody struct {
	job.Row
	Fast     float64         `json:"fast_period"`
	Slow     float64         `json:"slow_period"`
	Signal   *float64        `json:"signal_period"`
	Trades   float64         `json:"total_trades"`
	Duration json.RawMessage `json:"avg_trade_duration"`
}

func (b rowBody) row() (job.Row, error) {
	whole := func(x float64) bool { return x == math.Trunc(x) && x >= 0 && x < 1e9 }
	if !whole(b.Fast) || !whole(b.Slow) || !whole(b.Trades) || (b.Signal != nil && !whole(*b.Signal)) {
		return job.Row{}, errors.New("periods and trades of a row must be integers")
	}
	r := b.Row
	r.Ticker, r.StrategyType, r.ResultID = clean(r.Ticker, 40), clean(r.StrategyType, 40), clean(r.ResultID, 80)
	r.FastPeriod, r.SlowPeriod, r.TotalTrades = int(b.Fast), int(b.Slow), int(b.Trades)
	if b.Signal != nil {
		n := int(*b.Signal)
		r.SignalPeriod = &n
	}
	r.AvgTradeDuration = readDays(b.Duration)
	return r, nil
}

var daysForm = form(`^(-?\d{1,6}) days?(?:,? (\d{1,2}):(\d{2}):(\d{2})(?:\.\d+)?)?$`)

// readDays reads a duration in days: a number, or "12 days 06:00:00". Anything
// else is no duration.
func readDays(raw json.RawMessage) *float64 {
	var n *float64
	if json.Unmarshal(raw, &n) == nil {
		return n
	}
	m := daysForm().FindStringSubmatch(rawText(raw))
	if m == nil {
		return nil
	}
	var days float64
	for i, unit := range []float64{1, 24, 24 * 60, 24 * 3600} {
		if m[i+1] != "" {
			v, err := strconv.ParseFloat(m[i+1], 64)
			if err != nil {
				return nil
			}
			days += v / unit
		}
	}
	return &days
}
