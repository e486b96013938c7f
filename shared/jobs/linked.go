package jobs

import (
	"encoding/csv"
	"errors"
	"iter"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/quota"
	"github.com/zixly/sweepline/shared/rfc3339"
)

// Mux takes the handlers of addresses: http.ServeMux.
type Mux interface {
	Handle(pattern string, h http.Handler)
}

// Linked adds the addresses that pages link to and listen at. They are the API's; a
// dashboard on a host of its own has them as well, since its pages speak to no other
// host (Content-Security-Policy, SameSite).
func (s *Service) Linked(mux Mux) {
	handle := func(pattern string, h http.HandlerFunc) { mux.Handle(pattern, s.Require(Query(h), Refuse)) }
	handle("GET /api/jobs/{id}/events", OfJob(s.getTimeline))
	handle("GET /api/jobs/{id}/stream", OfJob(s.stream))
	handle("GET /api/jobs/{id}/results.csv", OfJob(s.getResults))
	handle("GET /api/stream", s.streamOverview)
	mux.Handle("GET /api/ping", Query(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	if s.DeadLetters != nil {
		handle("GET /api/dead-letters/{id}", s.getDeadLetter)
	}
}

func (s *Service) getTimeline(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	events, err := s.Timeline(r.Context(), id)
	if err != nil {
		AnswerMissing(w, err)
		return
	}
	shown := make([]timelineEvent, len(events))
	for i, e := range events {
		shown[i] = timelineEvent{e, rfc3339.Milli(e.Time)}
	}
	function.WriteJSON(w, http.StatusOK, struct {
		JobID  string          `json:"job_id"`
		Events []timelineEvent `json:"events"`
	}{id, shown})
}

// timelineEvent is an event as answers show it.
type timelineEvent struct {
	job.TimelineEvent

	Time rfc3339.Milli `json:"time"`
}

// resultColumns are the CSV's columns, named as in the JSON.
var resultColumns = []string{
	"ticker", "strategy_type", "fast_period", "slow_period", "signal_period", "score", "sharpe_ratio", "sortino_ratio",
	"total_return_pct", "annualized_return", "max_drawdown_pct", "win_rate_pct", "profit_factor", "total_trades",
	"trades_per_month", "avg_trade_duration", "expectancy_per_trade", "calmar_ratio", "result_id", "synthetic", "data_source", "data_hash",
}

// provenance are the last columns of every row: what it was computed on. They are
// empty where the trading API does not say.
func provenance(j job.Job) []string {
	switch m := j.Metrics; {
	case m == nil:
		return []string{"", "", ""}
	case m.Data == nil:
		return []string{map[bool]string{true: "true"}[m.Synthetic], "", ""}
	default:
		return []string{strconv.FormatBool(m.Synthetic), csvText(m.Data.Source), csvText(m.Data.Hash)}
	}
}

func record(r job.Row, computedOn []string) []string {
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
	return append([]string{
		csvText(r.Ticker), csvText(r.StrategyType), strconv.Itoa(r.FastPeriod), strconv.Itoa(r.SlowPeriod), signal, number(r.Score),
		number(r.SharpeRatio), number(r.SortinoRatio), number(r.TotalReturnPct), maybe(r.AnnualizedReturn),
		number(r.MaxDrawdownPct), number(r.WinRatePct), number(r.ProfitFactor), strconv.Itoa(r.TotalTrades),
		maybe(r.TradesPerMonth), maybe(r.AvgTradeDuration), maybe(r.ExpectancyPerTrade), maybe(r.CalmarRatio), csvText(r.ResultID),
	}, computedOn...)
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
func (s *Service) getResults(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	j, err := s.Find(r.Context(), id)
	if err != nil {
		AnswerMissing(w, err)
		return
	}
	computedOn := provenance(j.Job)
	release, err := s.TakeRead(r.Context(), auth.FromContext(r.Context()))
	if err != nil {
		if more, ok := errors.AsType[*quota.Exceeded](err); ok {
			more.Write(w)
		}
		return // else the client is gone
	}
	defer release()
	next, stop := iter.Pull2(s.Store.Results(r.Context(), auth.FromContext(r.Context()), id, jobstore.ByScore))
	defer stop()
	row, err, more := next() // before the header is out, trouble can still be a 503
	if err != nil {
		slog.WarnContext(r.Context(), "reading results failed", "job_id", id, "error", err)
		function.WriteUnavailable(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
	w.Header().Set("Content-Disposition", `attachment; filename="sweep-`+id+`.csv"`)
	out := csv.NewWriter(newPatientWriter(w))
	_ = out.Write(resultColumns)
	for ; more; row, err, more = next() {
		if err == nil {
			err = out.Write(record(row, computedOn))
		}
		if err != nil {
			slog.WarnContext(r.Context(), "sending results failed", "job_id", id, "error", err)
			panic(http.ErrAbortHandler) // the client must see that rows are missing
		}
	}
	out.Flush()
}

// getDeadLetter answers one whole letter.
func (s *Service) getDeadLetter(w http.ResponseWriter, r *http.Request) {
	l, err := s.DeadLetters.DeadLetter(r.Context(), r.PathValue("id"))
	switch {
	case errors.Is(err, broker.ErrNotFound), err == nil && !s.owns(r.Context(), l):
		function.WriteError(w, http.StatusNotFound, function.CodeNotFound, "no such dead letter")
	case err != nil:
		slog.WarnContext(r.Context(), "dead letter not read", "error", err)
		function.WriteUnavailable(w, err)
	default:
		function.WriteJSON(w, http.StatusOK, viewOf(l))
	}
}
