package dashboard

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/zixly/sweepline/shared/heatmap"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobs"
	"github.com/zixly/sweepline/shared/jobstore"
)

// othersShown is how many sweeps are offered to compare one with.
const othersShown = 20

// compareView is two sweeps beside each other, or one and those that it may be compared
// with.
type compareView struct {
	view

	A, B *side
	// Others are completed sweeps of A's ticker, newest first, where B is not named yet.
	Others []other
	Facts  []fact
	// Pair is nil where either has too few rows to make an area.
	Pair           *pairView
	Metrics, Stats []choice
	// Swapped leads to the same with A and B exchanged.
	Swapped string
}

// side is one of the two sweeps.
type side struct {
	jobs.Found

	surface *heatmap.Surface
}

// other is a sweep that A may be compared with.
type other struct {
	job.Job

	Href string
}

// fact is something that is told of both.
type fact struct {
	Name, A, B string
	// Best is "a" or "b" where one of them is the better.
	Best string
}

// Differs says that the two are not alike.
func (f fact) Differs() bool { return f.A != f.B }

// pairView is a heatmap.Pair, ready to draw.
type pairView struct {
	heatmap.Pair

	MapA, MapB *heatMap
	// Cells are those of the differences, on A's axes.
	Cells []cell
	// Better and Worse count the fields in which B is better and worse.
	Better, Worse int
	Lines         []differenceLine
}

// cells counts those of its maps.
func (p *pairView) cells() int {
	if p == nil {
		return 0
	}
	return p.MapA.cells() + p.MapB.cells() + len(p.Cells)
}

// differenceLine is a line of the table of differences: a fast period.
type differenceLine struct {
	Name  string
	Cells []differenceCell
}

// differenceCell is a field in the table; A, B and By are empty where only one has rows.
type differenceCell struct{ A, B, By string }

// comparePage shows the sweeps that ?a= and ?b= name, or the two that ?id= names, on one
// scale. Without b it offers sweeps to compare a with.
func (f *Function) comparePage(w http.ResponseWriter, r *http.Request) {
	v := r.URL.Query()
	ids := make([]string, 0, 2)
	for _, id := range slices.Concat(v["a"], v["b"], v["id"]) {
		if id = strings.ToLower(strings.TrimSpace(id)); id != "" {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 || len(ids) > 2 {
		f.problem(w, r, http.StatusBadRequest, "Two sweeps can be compared", "The address names none, or more than two. Tick two on the list of jobs, or follow the link on a job's page.")
		return
	}
	out := compareView{view: f.view(r)}
	var err error
	if out.A, err = f.sideOf(r.Context(), ids[0]); err == nil && len(ids) == 2 {
		out.B, err = f.sideOf(r.Context(), ids[1])
	}
	if err != nil {
		f.problemOf(w, r, err)
		return
	}
	metric, stat := heatmap.MetricOf(v.Get("metric")), heatmap.StatOf(v.Get("stat"))
	if out.B == nil {
		out.Others = f.others(r.Context(), out.A.Job)
	} else {
		out.compare(metric, stat)
	}
	f.renderMaps(w, r, out.Pair.cells(), "compare.html", out)
}

// sideOf reads a sweep. One without a surface is compared by its facts alone.
func (f *Function) sideOf(ctx context.Context, id string) (*side, error) {
	found, err := f.jobs.Find(ctx, id)
	if err != nil {
		return nil, err
	}
	s := &side{Found: found}
	if found.Settled && found.Status == job.Completed {
		if s.surface, err = f.surface(ctx, found.Job); err != nil {
			slog.WarnContext(ctx, "reading surface failed", "job_id", id, "error", err)
		}
	}
	return s, nil
}

// others leaves out what cannot be read: any id can be given in the form.
func (f *Function) others(ctx context.Context, a job.Job) (out []other) {
	page, err := f.jobs.List(ctx, jobstore.Query{Ticker: a.Ticker, Status: []job.State{job.Completed}, Limit: othersShown + 1})
	if err != nil {
		slog.WarnContext(ctx, "listing jobs failed", "error", err)
		return nil
	}
	for _, j := range page.Jobs {
		if j.JobID != a.JobID && len(out) < othersShown {
			out = append(out, other{j, comparePath(a.JobID, j.JobID, 0, heatmap.Best)})
		}
	}
	return out
}

func comparePath(a, b string, metric int, stat heatmap.Stat) string {
	q := url.Values{"a": {a}, "b": {b}}
	if metric != 0 {
		q.Set("metric", heatmap.Metrics[metric].Name)
	}
	if stat != heatmap.Best {
		q.Set("stat", string(stat))
	}
	return "/compare?" + q.Encode()
}

func (v *compareView) compare(metric int, stat heatmap.Stat) {
	a, b := v.A, v.B
	v.Facts, v.Swapped = factsOf(a, b), comparePath(b.JobID, a.JobID, metric, stat)
	if a.surface == nil || b.surface == nil {
		return
	}
	v.Pair = pairOf(a, b, metric, stat)
	for i, m := range heatmap.Metrics {
		v.Metrics = append(v.Metrics, choice{m.Label, comparePath(a.JobID, b.JobID, i, stat), i == metric})
	}
	if max(a.surface.Shared, b.surface.Shared) > 1 {
		for _, s := range heatmap.Stats {
			v.Stats = append(v.Stats, choice{statNames[s], comparePath(a.JobID, b.JobID, metric, s), s == stat})
		}
	}
}

func pairOf(a, b *side, metric int, stat heatmap.Stat) *pairView {
	p := &pairView{Pair: heatmap.Compare(a.surface, b.surface, metric, stat)}
	query := func(s *side) jobQuery { return jobQuery{Path: "/jobs/" + s.JobID, Metric: metric, Stat: stat} }
	p.MapA, p.MapB = drawMap(p.A, query(a)), drawMap(p.B, query(b))
	lines, columns := p.A.Fast.Bins(), p.A.Slow.Bins()
	for y := range lines {
		p.Lines = append(p.Lines, differenceLine{Name: p.A.Fast.Label(y), Cells: make([]differenceCell, columns)})
	}
	w, h := 100/float64(columns), 100/float64(lines)
	for _, d := range p.Differences {
		left, top := w*float64(d.Slow), 100-h*float64(d.Fast+1)
		by := signed(d.By())
		p.Cells = append(p.Cells, cell{
			X: percent(left), Y: percent(top), W: percent(w + overlap), H: percent(h + overlap), Shade: d.Shade,
			Title: fmt.Sprintf("fast %s, slow %s: %s → %s (%s)", p.A.Fast.Label(d.Fast), p.A.Slow.Label(d.Slow), number(d.A), number(d.B), by),
		})
		p.Lines[d.Fast].Cells[d.Slow] = differenceCell{number(d.A), number(d.B), by}
		better := d.By()
		if p.A.Scale.Descending {
			better = -better
		}
		switch {
		case better > 0:
			p.Better++
		case better < 0:
			p.Worse++
		}
	}
	return p
}

// signed is a difference with its sign.
func signed(x float64) string {
	text := number(x)
	if x > 0 && text != "0" {
		return "+" + text
	}
	return text
}

// factsOf tells both in the same words. What is the same is shown as well: it says what
// a difference does not come from.
func factsOf(a, b *side) []fact {
	out := []fact{
		{Name: "Ticker", A: a.Ticker, B: b.Ticker},
		{Name: "State", A: stateName(a.DisplayStatus), B: stateName(b.DisplayStatus)},
		{Name: "Strategy", A: a.Parameters.StrategyType, B: b.Parameters.StrategyType},
		{Name: "Fast periods", A: rangeOf(a.Parameters.FastRange), B: rangeOf(b.Parameters.FastRange)},
		{Name: "Slow periods", A: rangeOf(a.Parameters.SlowRange), B: rangeOf(b.Parameters.SlowRange)},
		{Name: "Step", A: fmt.Sprint(a.Parameters.Step), B: fmt.Sprint(b.Parameters.Step)},
		{Name: "Least trades", A: fmt.Sprint(a.Parameters.MinTrades), B: fmt.Sprint(b.Parameters.MinTrades)},
	}
	if a.Metrics == nil || b.Metrics == nil {
		return out
	}
	out = append(out,
		fact{Name: "Prices", A: a.Prices(), B: b.Prices()},
		fact{Name: "Combinations", A: grouped(a.Metrics.Combinations), B: grouped(b.Metrics.Combinations)},
		better(fact{Name: "Best score"}, &a.Metrics.BestScore, &b.Metrics.BestScore),
	)
	if len(a.Results) > 0 && len(b.Results) > 0 {
		x, y := a.Results[0], b.Results[0]
		out = append(out,
			fact{Name: "Best at fast × slow", A: place(x.FastPeriod, x.SlowPeriod), B: place(y.FastPeriod, y.SlowPeriod)},
			better(fact{Name: "Return of the best, %"}, &x.TotalReturnPct, &y.TotalReturnPct),
			fact{Name: "Drawdown of the best, %", A: number(x.MaxDrawdownPct), B: number(y.MaxDrawdownPct)},
			fact{Name: "Trades of the best", A: fmt.Sprint(x.TotalTrades), B: fmt.Sprint(y.TotalTrades)},
		)
	}
	if a.surface != nil && b.surface != nil && a.surface.Robust != nil && b.surface.Robust != nil {
		x, y := a.surface.Robust, b.surface.Robust
		out = append(out,
			fact{Name: "Most robust at fast × slow", A: place(x.FastPeriod, x.SlowPeriod), B: place(y.FastPeriod, y.SlowPeriod)},
			better(fact{Name: "Worst score around the most robust"}, &x.Worst, &y.Worst),
		)
	}
	if x, y := a.Metrics.Data, b.Metrics.Data; x != nil && y != nil && x.BuyAndHoldPct != nil && y.BuyAndHoldPct != nil {
		out = append(out, fact{Name: "Buy and hold, %", A: number(*x.BuyAndHoldPct), B: number(*y.BuyAndHoldPct)})
	}
	return out
}

func better(f fact, a, b *float64) fact {
	f.A, f.B = number(*a), number(*b)
	switch {
	case *a > *b:
		f.Best = "a"
	case *b > *a:
		f.Best = "b"
	}
	return f
}

func place(fast, slow int) string { return fmt.Sprintf("%d × %d", fast, slow) }
func rangeOf(r [2]int) string     { return fmt.Sprintf("%d to %d", r[0], r[1]) }
