package dashboard

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/zixly/sweepline/shared/heatmap"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs"
	"github.com/zixly/sweepline/shared/jobstore"
)

const (
	// resultsPerPage is how many rows of a sweep the job's page shows at once. A large
	// sweep's surface has those of the first page.
	resultsPerPage = heatmap.TopRows
	// longestWhere is how much of the conditions is read.
	longestWhere = 500
)

// jobQuery is what the address of a job's page asks for.
type jobQuery struct {
	Path string
	// Sort, Dir and Where are those of the results API.
	Sort, Dir string
	Where     []string
	// From leaves out the first rows.
	From int
	// Metric and Stat say which map is drawn.
	Metric int
	Stat   heatmap.Stat

	// rows is what Sort, Dir, Where and From ask for; Problems are what is wrong with it.
	rows     jobstore.RowQuery
	Problems job.Invalid
}

// readQuery takes everything that it does not understand for what is not there: it is a
// page for people.
func readQuery(u *url.URL) jobQuery {
	v := u.Query()
	q := jobQuery{Path: u.Path, Sort: v.Get("sort"), Dir: v.Get("dir"), Metric: heatmap.MetricOf(v.Get("metric")), Stat: heatmap.StatOf(v.Get("stat"))}
	if where := strings.Join(v["where"], ","); strings.Trim(where, ", ") != "" {
		q.Where = []string{where[:min(len(where), longestWhere)]}
	}
	if n, err := strconv.Atoi(v.Get("from")); err == nil {
		q.From = max(n, 0)
	}
	var err error
	q.rows, err = jobs.ParseResults(url.Values{"sort": {q.Sort}, "dir": {q.Dir}, "where": q.Where})
	if invalid, ok := errors.AsType[job.Invalid](err); ok {
		for _, p := range invalid {
			if p.Field == "where" {
				q.Problems = append(q.Problems, p)
			}
		}
		q.Sort, q.Dir = "", ""
		q.rows = jobstore.RowQuery{By: "score"}
	}
	q.rows.Limit, q.rows.Offset = resultsPerPage, q.From
	q.Sort = q.rows.By
	return q
}

// conditions are those of the query as people write them.
func (q jobQuery) conditions() string { return strings.Join(q.Where, ", ") }

// first reports whether the query asks for the best rows by score.
func (q jobQuery) first() bool {
	return q.rows.By == "score" && !q.rows.Ascending && q.From == 0 && len(q.rows.Where) == 0
}

// region is the range of periods that the conditions leave; false where one of its sides
// is open.
func (q jobQuery) region() (fast, slow [2]int, closed bool) {
	sides := map[string]*int{"fast_period>=": &fast[0], "fast_period<=": &fast[1], "slow_period>=": &slow[0], "slow_period<=": &slow[1]}
	for _, c := range q.rows.Where {
		if into := sides[c.Column+c.Operator]; into != nil {
			*into = int(c.Value)
		}
	}
	return fast, slow, fast[0] > 0 && fast[0] <= fast[1] && slow[0] > 0 && slow[0] <= slow[1]
}

// resultsView is one page of a sweep's rows.
type resultsView struct {
	Rows    []job.Row
	Columns []column
	// First and Last number the rows shown, of Total.
	First, Last, Total int
	Previous, Next     string
	Signals            bool
	// Where is the filter as it was sent, Hidden what else the page was asked for, and
	// Problems what is wrong with the filter.
	Where    string
	Hidden   []hidden
	Problems job.Invalid
	// Filtered says that only some of the rows are meant.
	Filtered bool
	// All leads to all rows, without the filter; CSV to those that the page shows a part
	// of, as a file.
	All, CSV string
	// Refine leads to a sweep of the region that the filter leaves, with step 1.
	Refine string
}

// hidden is a field of a form that nobody sees.
type hidden struct{ Name, Value string }

// column is a head of the table with the link that sorts by it.
type column struct {
	Label, Href string
	// Sort is aria-sort's word, empty for columns that do not sort now.
	Sort string
}

// resultHeads are the columns in the table's order, each of jobstore.RowColumns.
var resultHeads = []struct{ name, label string }{
	{"fast_period", "Fast"}, {"slow_period", "Slow"}, {"score", "Score"}, {"neighbour_worst", "Worst nearby"}, {"neighbour_median", "Median nearby"},
	{"sharpe_ratio", "Sharpe"}, {"sortino_ratio", "Sortino"}, {"total_return_pct", "Return %"}, {"max_drawdown_pct", "Drawdown %"},
	{"win_rate_pct", "Win rate %"}, {"profit_factor", "Profit factor"}, {"total_trades", "Trades"},
}

// results reads the rows of a page. The first ones of a large sweep are in its surface.
func (f *Function) results(ctx context.Context, j job.Job, q jobQuery, s *heatmap.Surface) (*resultsView, error) {
	v := &resultsView{Where: q.conditions(), Problems: q.Problems, Filtered: len(q.rows.Where) > 0}
	var err error
	if q.first() && s != nil && len(s.Top) > 0 && j.Metrics != nil {
		v.Rows, v.Total = s.Top, j.Metrics.Combinations
	} else if v.Rows, v.Total, err = f.jobs.CountedRows(ctx, j, q.rows); err != nil {
		return nil, err
	}
	v.Last = q.From + len(v.Rows)
	v.Total = max(v.Total, v.Last)
	if len(v.Rows) > 0 {
		v.First = q.From + 1
		v.Signals = v.Rows[0].SignalPeriod != nil
	}
	v.link(q)
	if fast, slow, closed := q.region(); closed && j.Parameters.Step > 1 {
		v.Refine = refineLink(j.Parameters, fast, slow)
	}
	v.CSV = "/api/jobs/" + j.JobID + "/results.csv"
	if v.Filtered {
		v.CSV += "?" + url.Values{"where": q.Where, "sort": {q.Sort}, "dir": {direction(q.rows)}}.Encode()
	}
	return v, nil
}

func direction(q jobstore.RowQuery) string {
	if q.Ascending {
		return "asc"
	}
	return "desc"
}

// link adds the ways to other pages of the same rows.
func (v *resultsView) link(q jobQuery) {
	for _, h := range resultHeads {
		to := q
		to.Sort, to.Dir, to.From = h.name, "", 0 // the best first
		c := column{Label: h.label}
		if h.name == q.rows.By {
			c.Sort, to.Dir = "descending", "asc"
			if q.rows.Ascending {
				c.Sort, to.Dir = "ascending", "desc"
			}
		}
		c.Href = to.href("#results")
		v.Columns = append(v.Columns, c)
	}
	at := func(from int) string {
		to := q
		to.From = from
		return to.href("#results")
	}
	if q.From > 0 {
		v.Previous = at(max(q.From-resultsPerPage, 0))
	}
	if v.Last < v.Total && len(v.Rows) == resultsPerPage {
		v.Next = at(v.Last)
	}
	if len(q.Where) > 0 {
		to := q
		to.Where, to.From = nil, 0
		v.All = to.href("#results")
	}
	for _, field := range []hidden{{"sort", q.Sort}, {"dir", q.Dir}, {"metric", heatmap.Metrics[q.Metric].Name}, {"stat", string(q.Stat)}} {
		if field.Value != "" {
			v.Hidden = append(v.Hidden, field)
		}
	}
}

// refineLink is the form for a sweep of a region with step 1.
func refineLink(s job.Sweep, fast, slow [2]int) string {
	s.FastRange, s.SlowRange, s.Step = within(fast), within(slow), 1
	return againLink(s)
}

// within keeps a range inside what a sweep may ask for.
func within(r [2]int) [2]int {
	return [2]int{max(r[0], job.MinPeriod), min(r[1], job.MaxPeriod)}
}

// around is the region of a row and those that its neighbourhood is of.
func around(s job.Sweep, p heatmap.Point) string {
	reach := heatmap.Reach * s.Step
	return refineLink(s, [2]int{p.FastPeriod - reach, p.FastPeriod + reach}, [2]int{p.SlowPeriod - reach, p.SlowPeriod + reach})
}

// beats leads to the rows that earned more than holding over the same days; empty where
// there are none, or nobody knows.
func (q jobQuery) beats(s *heatmap.Surface, m *job.Metrics) string {
	if m == nil || m.Data == nil || m.Data.BuyAndHoldPct == nil || s.Layers[heatmap.MetricOf("total_return_pct")].High <= *m.Data.BuyAndHoldPct {
		return ""
	}
	q.Where, q.Sort, q.Dir, q.From = []string{"return>" + strconv.FormatFloat(*m.Data.BuyAndHoldPct, 'f', -1, 64)}, "total_return_pct", "", 0
	return q.href("#results")
}
