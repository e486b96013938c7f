package dashboard

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs"
	"github.com/zixly/sweepline/shared/jobstore"
)

type activityView struct {
	view
	Charts []chart
	Tables []activityTable
}

// activityTable has the figures of two charts.
type activityTable struct {
	ID, Title, Unit string
	Rows            []activityRow
}

// activityRow is one interval.
type activityRow struct {
	jobstore.Interval
	Label string
	// Href lists its jobs.
	Href string
}

// Completed is how many of them ended so, and Failed and Cancelled alike.
func (r activityRow) Completed() int { return r.Jobs[job.Completed] }

// Failed counts those that nobody wanted to end.
func (r activityRow) Failed() int { return r.Jobs[job.Failed] }

// Cancelled counts those that their owner ended.
func (r activityRow) Cancelled() int { return r.Jobs[job.ShownCancelled] }

// activityPage shows how many jobs came in the last day and month, and how long they took.
// Other pages take its charts.
func (f *Function) activityPage(w http.ResponseWriter, r *http.Request) {
	a, err := f.jobs.Activity(r.Context())
	if err != nil {
		f.problemOf(w, r, err)
		return
	}
	render(w, r, http.StatusOK, "activity.html", activityOf(f.view(r), a))
}

// activityOf draws what was counted.
func activityOf(v view, a jobs.Activity) activityView {
	page := activityView{view: v}
	for _, s := range []struct {
		id, title, unit, rate string
		every                 time.Duration
		intervals             []jobstore.Interval
	}{
		{"day", "Last 24 hours", "Hour", "Jobs an hour", time.Hour, a.Day},
		{"month", "Last 30 days", "Day", "Jobs a day", 24 * time.Hour, a.Month},
	} {
		page.Charts = append(page.Charts, ratesChart(s.rate, strings.ToLower(s.title), s.every, s.intervals), latenciesChart("Time to the results", strings.ToLower(s.title), s.every, s.intervals))
		t := activityTable{ID: s.id, Title: s.title, Unit: s.unit}
		for _, n := range slices.Backward(s.intervals) {
			filters := url.Values{"since": {n.Begin.UTC().Format(formTime)}, "until": {n.Begin.Add(s.every).UTC().Format(formTime)}}
			t.Rows = append(t.Rows, activityRow{n, intervalLabel(n.Begin, s.every), "/?" + filters.Encode()})
		}
		page.Tables = append(page.Tables, t)
	}
	return page
}

// shownStates are the pieces of a column of jobs, from its foot.
var shownStates = []struct {
	state      job.State
	kind, word string
}{
	{job.Completed, "ok", "completed"}, {job.Failed, "bad", "failed"}, {job.ShownCancelled, "off", "cancelled"},
	{job.Running, "open", "running"}, {job.Queued, "open", "queued"},
}

// ratesChart draws how many jobs were created in each interval, by what became of them.
func ratesChart(title, of string, every time.Duration, intervals []jobstore.Interval) chart {
	total := map[job.State]int{}
	var columns []interval
	for _, n := range intervals {
		c := interval{begin: n.Begin}
		var summary []string
		foot := 0.0
		for _, s := range shownStates {
			jobs := n.Jobs[s.state]
			if jobs == 0 {
				continue
			}
			total[s.state] += jobs
			c.amounts = append(c.amounts, amount{s.kind, foot, foot + float64(jobs)})
			foot += float64(jobs)
			summary = append(summary, grouped(jobs)+" "+s.word)
		}
		c.summary = cmp.Or(strings.Join(summary, ", "), "none")
		columns = append(columns, c)
	}
	var summary []string
	for _, s := range shownStates {
		if total[s.state] > 0 {
			summary = append(summary, grouped(total[s.state])+" "+s.word)
		}
	}
	return newChart(title, of+": "+cmp.Or(strings.Join(summary, ", "), "none"), every, columns)
}

// latenciesChart draws from how long half of the completed jobs of each interval took at
// most to how long 95 % of them did.
func latenciesChart(title, of string, every time.Duration, intervals []jobstore.Interval) chart {
	var columns []interval
	var longest time.Duration
	for _, n := range intervals {
		c := interval{begin: n.Begin, summary: "none completed"}
		if n.Jobs[job.Completed] > 0 {
			longest = max(longest, n.P95)
			c.summary = fmt.Sprintf("half took up to %s, 95 %% up to %s", span(n.Median), span(n.P95))
			c.amounts = []amount{{"half", 0, n.Median.Seconds()}, {"slow", n.Median.Seconds(), n.P95.Seconds()}}
		}
		columns = append(columns, c)
	}
	summary := of + ": none completed"
	if longest > 0 {
		summary = fmt.Sprintf("%s: half and 95 %% of the jobs, up to %s", of, span(longest))
	}
	return newChart(title, summary, every, columns)
}
