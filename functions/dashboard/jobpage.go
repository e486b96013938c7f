package dashboard

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs"
	"github.com/zixly/sweepline/shared/telemetry"
)

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
	// RefineRobust leads to a sweep around the most robust row with step 1.
	RefineRobust string
	// Beats leads to the rows that earned more than buying and holding; empty where there
	// are none.
	Beats   string
	Results *resultsView
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
	f.renderMaps(w, r, v.HeatMap.cells(), "job.html", v)
}

// addResults leaves out what cannot be read: the rest of the page can be.
func (f *Function) addResults(ctx context.Context, v *jobView, u *url.URL) {
	j, q := v.Job, readQuery(u)
	s, err := f.surface(ctx, j.Job)
	if err != nil {
		slog.WarnContext(ctx, "drawing heat map failed", "job_id", j.JobID, "error", err)
	} else if s != nil {
		v.HeatMap = heatMapOf(s, q)
		v.Beats = q.beats(s, j.Metrics)
		if r := s.Robust; r != nil && j.Parameters.Step > 1 {
			v.RefineRobust = around(j.Parameters, r.Point)
		}
	}
	if v.Results, err = f.results(ctx, j.Job, q, s); err != nil {
		slog.WarnContext(ctx, "reading results failed", "job_id", j.JobID, "error", err)
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
