package trading

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
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
	// maxRows is more than any sweep has: periods go up to 500, so there are
	// fewer than 125,000 pairs. It ends a loop over an API that pages in circles.
	maxRows = 250_000
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
	var body struct {
		RunID     string    `json:"sweep_run_id"`
		Ticker    string    `json:"ticker"`
		RunDate   stamp     `json:"run_date"`
		Total     int       `json:"total_results"`
		Synthetic bool      `json:"synthetic"`
		Rows      []rowBody `json:"results"`
	}
	err := c.do(ctx, call{
		op: op, endpoint: "best", method: http.MethodGet,
		path: []string{"api", "v1", "sweeps", runID, "best"}, query: tickerQuery(ticker),
	}, &body)
	if err != nil {
		return Best{}, err
	}
	b := Best{RunID: runID, Ticker: body.Ticker, RunDate: body.RunDate.Time, Total: body.Total, Synthetic: body.Synthetic}
	for _, r := range body.Rows {
		row, err := r.row()
		if err != nil {
			return Best{}, &Error{Op: op, Status: http.StatusOK, cause: err}
		}
		b.Rows = append(b.Rows, row)
	}
	return b, nil
}

// Results yields every combination of a run, page by page, in the API's order;
// ticker may be empty. An error ends it and is yielded once, with a zero row.
// Each page has its own timeout; ctx bounds them all.
func (c *Client) Results(ctx context.Context, runID, ticker string) iter.Seq2[job.Row, error] {
	return c.ResultsFrom(ctx, runID, ticker, 0)
}

// ResultsFrom is Results without the first offset rows: whoever was interrupted
// goes on where it was.
func (c *Client) ResultsFrom(ctx context.Context, runID, ticker string, offset int) iter.Seq2[job.Row, error] {
	return func(yield func(job.Row, error) bool) {
		for offset := offset; ; {
			p, err := c.page(ctx, runID, ticker, offset)
			if err != nil {
				yield(job.Row{}, err)
				return
			}
			for _, row := range p.rows {
				if !yield(row, nil) {
					return
				}
			}
			offset += len(p.rows)
			if p.last(offset) {
				return
			}
			ctx = unpaid(ctx)
			if offset >= maxRows {
				yield(job.Row{}, &Error{Op: "read results", Status: http.StatusOK, Detail: "more rows than a sweep can have"})
				return
			}
		}
	}
}

type page struct {
	rows  []job.Row
	total int // -1 where the API does not say
}

// last reports whether nothing follows offset.
func (p page) last(offset int) bool {
	if len(p.rows) == 0 {
		return true
	}
	if p.total < 0 {
		return len(p.rows) < pageSize
	}
	return offset >= p.total
}

func (c *Client) page(ctx context.Context, runID, ticker string, offset int) (page, error) {
	const op = "read results"
	if !runIDForm().MatchString(runID) {
		return page{}, badID(op)
	}
	query := tickerQuery(ticker)
	query.Set("limit", strconv.Itoa(pageSize))
	query.Set("offset", strconv.Itoa(offset))
	var body struct {
		Total     *int      `json:"total_count"`
		Synthetic bool      `json:"synthetic"`
		Rows      []rowBody `json:"results"`
	}
	err := c.do(ctx, call{
		op: op, endpoint: "results", method: http.MethodGet,
		path: []string{"api", "v1", "sweeps", runID}, query: query,
	}, &body)
	if err != nil {
		return page{}, err
	}
	p := page{total: -1}
	if body.Total != nil {
		p.total = *body.Total
	}
	for _, r := range body.Rows {
		row, err := r.row()
		row.Synthetic = body.Synthetic
		if err != nil {
			return page{}, &Error{Op: op, Status: http.StatusOK, cause: err}
		}
		p.rows = append(p.rows, row)
	}
	// A page cut short in the middle must not pass for the whole.
	if len(p.rows) == 0 && offset < p.total {
		return page{}, &Error{Op: op, Status: http.StatusOK, Detail: fmt.Sprintf("no rows after %d of %d", offset, p.total)}
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
		return job.Row{}, errors.New("a row's periods or trades are no whole numbers")
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
