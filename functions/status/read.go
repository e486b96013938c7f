package status

import (
	"context"
	"encoding/csv"
	"errors"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

func (f *Function) getJob(w http.ResponseWriter, r *http.Request) {
	j, err := f.find(r.Context(), r.PathValue("id"))
	if err != nil {
		answerMissing(w, err)
		return
	}
	function.WriteJSON(w, http.StatusOK, j.Job)
}

func (f *Function) listJobs(w http.ResponseWriter, r *http.Request) {
	q, err := parseQuery(r.URL.Query())
	if err != nil {
		answerBadQuery(w, err)
		return
	}
	page, err := f.Jobs.Jobs(r.Context(), auth.FromContext(r.Context()), q)
	switch {
	case errors.Is(err, jobstore.ErrCursor):
		answerBadQuery(w, job.Invalid{{Field: "cursor", Message: "is not one that this list gave"}})
	case err != nil:
		slog.WarnContext(r.Context(), "Jobs not listed", "error", err)
		function.WriteUnavailable(w, err)
	default:
		body := struct {
			Jobs []job.Job `json:"jobs"`
			Next string    `json:"next_cursor,omitempty"`
		}{page.Jobs, page.Next}
		if body.Jobs == nil {
			body.Jobs = []job.Job{}
		}
		for i := range body.Jobs {
			if body.Jobs[i].Results == nil {
				body.Jobs[i].Results = []job.Row{}
			}
		}
		function.WriteJSON(w, http.StatusOK, body)
	}
}

func answerBadQuery(w http.ResponseWriter, err error) {
	var invalid job.Invalid
	errors.As(err, &invalid)
	function.WriteError(w, http.StatusBadRequest, function.CodeInvalid, "the query is not valid", invalid...)
}

// parseQuery reads the filters of a list. Its error is a job.Invalid with all
// problems. Empty parameters do not count, as a form sends them.
func parseQuery(v url.Values) (jobstore.Query, error) {
	q := jobstore.Query{Ticker: v.Get("ticker"), Text: v.Get("q"), Cursor: v.Get("cursor")}
	var problems job.Invalid
	bad := func(field, message string) { problems = append(problems, job.Problem{Field: field, Message: message}) }
	for _, text := range v["status"] {
		for word := range strings.SplitSeq(text, ",") {
			if word == "" {
				continue
			}
			s := job.State(strings.ToUpper(strings.TrimSpace(word)))
			if !s.Valid() {
				bad("status", "must be QUEUED, RUNNING, COMPLETED or FAILED")
				break
			}
			q.Status = append(q.Status, s)
		}
	}
	if text := v.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > jobstore.MaxLimit {
			bad("limit", "must be 1 to "+strconv.Itoa(jobstore.MaxLimit))
		}
		q.Limit = n
	}
	for name, into := range map[string]*time.Time{"since": &q.Since, "until": &q.Until} {
		if text := v.Get(name); text != "" {
			at, err := time.Parse(time.RFC3339, text)
			if err != nil {
				bad(name, "must be a time such as 2026-01-31T12:00:00Z")
			}
			*into = at
		}
	}
	if len(problems) > 0 {
		return q, problems
	}
	return q, nil
}

func (f *Function) getTimeline(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	events, err := f.timeline(r.Context(), id)
	if err != nil {
		answerMissing(w, err)
		return
	}
	function.WriteJSON(w, http.StatusOK, struct {
		JobID  string              `json:"job_id"`
		Events []job.TimelineEvent `json:"events"`
	}{id, events})
}

// timeline is empty, and not missing, for a job the job store has yet to hear of.
func (f *Function) timeline(ctx context.Context, id string) ([]job.TimelineEvent, error) {
	if !job.ValidID(id) {
		return nil, errNoJob
	}
	events, err := f.Jobs.Timeline(ctx, auth.FromContext(ctx), id)
	if errors.Is(err, jobstore.ErrNotFound) {
		_, err = f.find(ctx, id)
	}
	if err != nil {
		return nil, err
	}
	if events == nil {
		events = []job.TimelineEvent{}
	}
	return events, nil
}

// resultColumns are the CSV's columns, named as in the JSON.
var resultColumns = []string{
	"ticker", "strategy_type", "fast_period", "slow_period", "signal_period", "score", "sharpe_ratio", "sortino_ratio",
	"total_return_pct", "annualized_return", "max_drawdown_pct", "win_rate_pct", "profit_factor", "total_trades",
	"trades_per_month", "avg_trade_duration", "expectancy_per_trade", "calmar_ratio", "result_id",
}

func record(r job.Row) []string {
	number := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	maybe := func(f *float64) string {
		if f == nil {
			return ""
		}
		return number(*f)
	}
	signal := ""
	if r.SignalPeriod != nil {
		signal = strconv.Itoa(*r.SignalPeriod)
	}
	return []string{
		csvText(r.Ticker), csvText(r.StrategyType), strconv.Itoa(r.FastPeriod), strconv.Itoa(r.SlowPeriod), signal, number(r.Score),
		number(r.SharpeRatio), number(r.SortinoRatio), number(r.TotalReturnPct), maybe(r.AnnualizedReturn),
		number(r.MaxDrawdownPct), number(r.WinRatePct), number(r.ProfitFactor), strconv.Itoa(r.TotalTrades),
		maybe(r.TradesPerMonth), maybe(r.AvgTradeDuration), maybe(r.ExpectancyPerTrade), maybe(r.CalmarRatio), csvText(r.ResultID),
	}
}

// csvText is a text that no spreadsheet takes for a formula.
// Rule: OWASP, "CSV Injection".
func csvText(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}

// getResults writes all rows of a job as CSV, best first, as they are read.
func (f *Function) getResults(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if _, err := f.find(r.Context(), id); err != nil {
		answerMissing(w, err)
		return
	}
	next, stop := iter.Pull2(f.Jobs.Results(r.Context(), auth.FromContext(r.Context()), id, jobstore.ByScore))
	defer stop()
	row, err, more := next() // before the header is out, trouble can still be a 503
	if err != nil {
		slog.WarnContext(r.Context(), "Results not read", "job_id", id, "error", err)
		function.WriteUnavailable(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
	w.Header().Set("Content-Disposition", `attachment; filename="sweep-`+id+`.csv"`)
	out := csv.NewWriter(w)
	_ = out.Write(resultColumns)
	for ; more; row, err, more = next() {
		if err == nil {
			err = out.Write(record(row))
		}
		if err != nil {
			slog.WarnContext(r.Context(), "Results cut off", "job_id", id, "error", err)
			panic(http.ErrAbortHandler) // the client must see that rows are missing
		}
	}
	out.Flush()
}
