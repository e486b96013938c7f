package dashboard

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/telemetry"
)

// resultsPerPage is how many rows of a sweep the job's page shows at once.
const resultsPerPage = 20

type jobView struct {
	view
	Job       jobs.Found
	Timeline  []job.TimelineEvent
	Waterfall waterfall
	// Late says that the timeline could not be read.
	Late bool
	// RetryKey makes a double click on retry one job.
	RetryKey string
	HeatMap  *heatMap
	Results  *resultsView
	// Again is the form with this job's parameters.
	Again string
	// TraceID names the job's trace, TraceLink leads to it; both may be empty.
	TraceID, TraceLink string
}

// CanCancel and CanRetry say which acts the job's state allows.
func (v jobView) CanCancel() bool { return !v.Job.Status.Terminal() }

// CanRetry says that the job failed.
func (v jobView) CanRetry() bool { return v.Job.Status == job.Failed }

func (f *Function) jobPage(w http.ResponseWriter, r *http.Request) {
	ctx, id := r.Context(), r.PathValue("id")
	j, err := f.jobs.Find(ctx, id)
	if err != nil {
		f.problemOf(w, r, err)
		return
	}
	found := []jobs.Found{j}
	f.jobs.TellRetries(ctx, found)
	j = found[0]
	v := jobView{view: f.view(r), Job: j, RetryKey: uuid.NewString(), Again: againLink(j.Parameters)}
	if v.Timeline, err = f.jobs.Timeline(ctx, id); err != nil {
		v.Late = true
	}
	v.Waterfall = draw(j, v.Timeline, f.jobs.Now())
	v.TraceID = f.traceID(ctx, j)
	if v.TraceID != "" && f.cfg.TraceURL != "" {
		v.TraceLink = strings.ReplaceAll(f.cfg.TraceURL, traceMark, v.TraceID)
	}
	if j.Settled && j.Status == job.Completed {
		f.addResults(ctx, &v, r.URL)
	}
	render(w, r, http.StatusOK, "job.html", v)
}

// addResults leaves out what cannot be read: the rest of the page can be.
func (f *Function) addResults(ctx context.Context, v *jobView, u *url.URL) {
	j := v.Job
	var err error
	if v.Results, err = f.results(ctx, j.Job, u); err != nil {
		slog.WarnContext(ctx, "reading results failed", "job_id", j.JobID, "error", err)
	}
	if v.HeatMap, err = f.heatMap(ctx, j.TenantID, j.JobID); err != nil {
		slog.WarnContext(ctx, "drawing heat map failed", "job_id", j.JobID, "error", err)
	}
}

// traceID names the trace in which the job was accepted, as long as its wait
// record is kept.
func (f *Function) traceID(ctx context.Context, j jobs.Found) string {
	ctx, cancel := context.WithTimeout(ctx, traceTimeout)
	defer cancel()
	rec, err := f.jobs.Waits.Get(ctx, j.JobID)
	if err != nil || rec.Header.TenantID != j.TenantID {
		return ""
	}
	return telemetry.TraceID(rec.Trace(context.WithoutCancel(context.Background())))
}

// againLink is the form for a new sweep, filled with an old one's parameters.
func againLink(s job.Sweep) string {
	n := strconv.Itoa
	return "/new?" + url.Values{
		"ticker": {s.Ticker}, "strategy_type": {s.StrategyType}, "config_path": {s.ConfigPath},
		"fast_from": {n(s.FastRange[0])}, "fast_to": {n(s.FastRange[1])},
		"slow_from": {n(s.SlowRange[0])}, "slow_to": {n(s.SlowRange[1])},
		"step": {n(s.Step)}, "min_trades": {n(s.MinTrades)},
	}.Encode()
}

// resultsView is one page of a sweep's rows.
type resultsView struct {
	Rows    []job.Row
	Columns []column
	// First and Last number the rows shown, of Total.
	First, Last, Total int
	Previous, Next     string
	Signals            bool
}

// column is a head of the table with the link that sorts by it.
type column struct {
	Label, Href string
	// Sort is aria-sort's word, empty for columns that do not sort now.
	Sort string
}

// resultHeads are the columns in the table's order, each a job store.RowColumns.
var resultHeads = []struct{ name, label string }{
	{"fast_period", "Fast"}, {"slow_period", "Slow"}, {"score", "Score"}, {"sharpe_ratio", "Sharpe"}, {"sortino_ratio", "Sortino"},
	{"total_return_pct", "Return %"}, {"max_drawdown_pct", "Drawdown %"}, {"win_rate_pct", "Win rate %"},
	{"profit_factor", "Profit factor"}, {"total_trades", "Trades"},
}

func (f *Function) results(ctx context.Context, j job.Job, u *url.URL) (*resultsView, error) {
	sent := u.Query()
	q := jobstore.RowQuery{By: sent.Get("sort"), Ascending: sent.Get("dir") == "asc", Limit: resultsPerPage}
	if !slices.Contains(jobstore.RowColumns, q.By) {
		q.By = "score"
	}
	q.Offset, _ = strconv.Atoi(sent.Get("from")) // anything else is the first page
	q.Offset = max(q.Offset, 0)
	rows, err := f.jobs.Rows(ctx, j, q)
	if err != nil {
		return nil, err
	}
	v := &resultsView{Rows: rows, Last: q.Offset + len(rows)}
	if len(rows) > 0 {
		v.First = q.Offset + 1
		v.Signals = rows[0].SignalPeriod != nil
	}
	if j.Metrics != nil {
		v.Total = j.Metrics.Combinations
	}
	v.Total = max(v.Total, v.Last)
	link := func(by string, up bool, from int) string {
		to := url.Values{"sort": {by}}
		if up {
			to.Set("dir", "asc")
		}
		if from > 0 {
			to.Set("from", strconv.Itoa(from))
		}
		return u.Path + "?" + to.Encode() + "#results"
	}
	for _, h := range resultHeads {
		c := column{Label: h.label, Href: link(h.name, false, 0)}
		if h.name == q.By {
			c.Sort, c.Href = "descending", link(h.name, !q.Ascending, 0)
			if q.Ascending {
				c.Sort = "ascending"
			}
		}
		v.Columns = append(v.Columns, c)
	}
	if q.Offset > 0 {
		v.Previous = link(q.By, q.Ascending, max(q.Offset-resultsPerPage, 0))
	}
	if v.Last < v.Total && len(rows) == resultsPerPage {
		v.Next = link(q.By, q.Ascending, v.Last)
	}
	return v, nil
}

func (f *Function) cancelFromPage(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if _, err := f.jobs.Cancel(r.Context(), id); err != nil {
		f.problemOf(w, r, err)
		return
	}
	http.Redirect(w, r, "/jobs/"+id, http.StatusSeeOther) //nolint:gosec // below our own path, of a job that was found
}

func (f *Function) retryFromPage(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	got, err := f.jobs.Retry(r.Context(), r.PathValue("id"), r.PostFormValue("key"))
	if err != nil {
		f.problemOf(w, r, err)
		return
	}
	http.Redirect(w, r, "/jobs/"+got.Header.JobID, http.StatusSeeOther)
}
