package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
	"golang.org/x/text/runes"
	"golang.org/x/text/transform"

	api "github.com/zixly/sweepline/shared/client"
	"github.com/zixly/sweepline/shared/job"
)

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(plainJSON{w})
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// plainJSON writes JSON with the characters that could steer a terminal, or turn what
// stands around them, as escapes: the same JSON to a program.
type plainJSON struct{ w io.Writer }

func (p plainJSON) Write(text []byte) (int, error) {
	var out []byte // nil while it is as text
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		plain := r == '\n' || job.Printable(r) == r
		switch {
		case !plain && out == nil:
			out = append(make([]byte, 0, len(text)+16), text[:i]...)
			fallthrough
		case !plain:
			for _, unit := range utf16.AppendRune(nil, r) {
				out = fmt.Appendf(out, "\\u%04x", unit)
			}
		case out != nil:
			out = append(out, text[i:i+n]...)
		}
		i += n
	}
	if out == nil {
		out = text
	}
	if _, err := p.w.Write(out); err != nil {
		return 0, err
	}
	return len(text), nil
}

// plainText gives a text of others without what could steer a terminal or turn what
// stands around it, and with its lines and tabs. Carriage returns are left out: what
// follows one is written over what stands there.
func plainText(r io.Reader) io.Reader {
	return transform.NewReader(r, transform.Chain(
		runes.Remove(runes.Predicate(func(r rune) bool { return r == '\r' || job.Printable(r) < 0 })),
		runes.Map(func(r rune) rune {
			if r == '\n' || r == '\t' {
				return r
			}
			return job.Printable(r)
		}),
	))
}

// narrowest is how far a column that wraps is made narrower before columns are
// left out.
const narrowest = 16

// grid is a table that fits the terminal, where it is printed on one.
type grid struct {
	w      io.Writer
	header table.Row
	rows   []table.Row
	// right are columns of figures.
	right []string
	// wraps is the column whose texts may be broken into lines, or "".
	wraps string
	// ids is a column of ids, which are shortened where the room is short, or "".
	ids string
	// spare are columns that are then left out, one by one.
	spare []string
	// wide has everything printed, whatever the room.
	wide bool
}

func newGrid(w io.Writer, header ...any) *grid { return &grid{w: w, header: header} }

// coloured is a cell that steers the terminal and may.
type coloured string

// add adds a row; its texts are made printable.
func (g *grid) add(cells ...any) {
	for i, c := range cells {
		if text, ok := c.(string); ok {
			cells[i] = printable(text)
		}
	}
	g.rows = append(g.rows, cells)
}

func (g *grid) print() {
	width, narrow := terminalWidth(g.w)
	narrow = narrow && !g.wide
	hidden := []string{}
	wrap := 0
	out := g.render(hidden, wrap)
	for narrow && text.LongestLineLen(out) > width {
		over := text.LongestLineLen(out) - width
		switch now := g.widthOf(g.wraps); {
		case g.shorten():
		case g.wraps != "" && wrap == 0 && now > narrowest:
			wrap = max(narrowest, now-over)
		case len(hidden) < len(g.spare):
			hidden = append(hidden, g.spare[len(hidden)])
			wrap = 0
		default: // nothing is left to leave out: the terminal breaks the lines
			narrow = false
			continue
		}
		out = g.render(hidden, wrap)
	}
	fmt.Fprintln(g.w, out)
}

// shorten makes the ids as short as commands take them, false where that is done.
func (g *grid) shorten() bool {
	at := slices.Index(g.header, any(g.ids))
	if g.ids == "" || at < 0 {
		return false
	}
	g.ids = ""
	ids := make([]string, len(g.rows))
	for i, r := range g.rows {
		ids[i] = fmt.Sprint(r[at])
	}
	for i, short := range shortIDs(ids) {
		g.rows[i][at] = short
	}
	return true
}

func (g *grid) render(hidden []string, wrap int) string {
	t := table.NewWriter()
	style := table.StyleLight
	style.Options = table.OptionsNoBordersAndSeparators
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	t.AppendHeader(g.header)
	for _, r := range g.rows {
		t.AppendRow(r)
	}
	var columns []table.ColumnConfig
	for _, h := range g.header {
		name := fmt.Sprint(h)
		c := table.ColumnConfig{Name: name, Hidden: slices.Contains(hidden, name)}
		if slices.Contains(g.right, name) {
			c.Align, c.AlignHeader = text.AlignRight, text.AlignRight
		}
		if wrap > 0 && name == g.wraps {
			c.WidthMax, c.WidthMaxEnforcer = wrap, text.WrapSoft
		}
		columns = append(columns, c)
	}
	t.SetColumnConfigs(columns)
	return t.Render()
}

// widthOf is the width of a column's longest text.
func (g *grid) widthOf(name string) int {
	at := slices.Index(g.header, any(name))
	if at < 0 {
		return 0
	}
	widest := 0
	for _, r := range g.rows {
		widest = max(widest, text.LongestLineLen(fmt.Sprint(r[at])))
	}
	return widest
}

func terminalWidth(w io.Writer) (int, bool) {
	f, ok := w.(interface{ Fd() uintptr })
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	return width, err == nil && width > 0
}

// colours of states, for a terminal.
var colours = map[job.State]text.Color{job.Running: text.FgBlue, job.Completed: text.FgGreen, job.Failed: text.FgRed}

// paint colours a text by a state where w is a terminal that takes colours.
// NO_COLOR and TERM=dumb turn them off (no-color.org).
func paint(w io.Writer, s job.State, what string) string {
	c, ok := colours[s]
	if _, terminal := terminalWidth(w); !ok || !terminal || plainTerminal() {
		return what
	}
	text.EnableColors()
	return c.Sprint(what)
}

func statusText(j job.Job) string {
	switch {
	case j.Shown() == job.ShownCancelled:
		return string(job.ShownCancelled)
	case j.ErrorCode != "":
		return printable(fmt.Sprintf("%s (%s)", j.Status, j.ErrorCode))
	case j.MadeUp():
		return printable(fmt.Sprintf("%s (%s)", j.Status, madeUp))
	}
	return printable(string(j.Status))
}

// listedStatus is a job's state in a list, which says as well that it was retried.
func listedStatus(j api.Job) string {
	if len(j.RetriedBy) > 0 {
		return statusText(j.Job) + ", retried"
	}
	return statusText(j.Job)
}

// madeUp marks what was computed on prices that are not those of the ticker.
const madeUp = "made-up prices"

// took is how long a job took, or has taken so far.
func took(j api.Job) string {
	switch {
	case j.DurationSeconds != nil:
		return time.Duration(*j.DurationSeconds * float64(time.Second)).Round(10 * time.Millisecond).String()
	case !j.Status.Terminal():
		return time.Duration(j.ElapsedSeconds*float64(time.Second)).Truncate(time.Second).String() + " …"
	}
	return ""
}

// progressText is how far a job is: its progress, or its place in the line.
func progressText(j api.Job) string {
	if j.Place > 0 {
		return fmt.Sprintf("number %d", j.Place)
	}
	return fmt.Sprintf("%d %%", j.Progress)
}

// bestScore is a job's best score; empty where it has none.
func bestScore(j api.Job) string {
	if j.Metrics == nil || j.Metrics.Combinations == 0 {
		return ""
	}
	return figure(j.Metrics.BestScore)
}

// left is how long a job may still take; empty where nobody can tell.
func left(j api.Job) string {
	if j.ETA == nil {
		return ""
	}
	return "≈ " + max(time.Until(*j.ETA), time.Second).Round(time.Second).String()
}

func printJob(w io.Writer, j api.Job) { printJobAnd(w, j, false) }

// printJobAnd prints a job; wide has every figure of its rows.
func printJobAnd(w io.Writer, j api.Job, wide bool) {
	p := j.Parameters
	fmt.Fprintf(w, "Job      %s\nStatus   %s\nSweep    %s %s, fast %d:%d, slow %d:%d, step %d, at least %d trades\n",
		printable(j.JobID), paint(w, j.Shown(), statusText(j.Job)), printable(p.Ticker), printable(p.StrategyType), p.FastRange[0], p.FastRange[1], p.SlowRange[0], p.SlowRange[1], p.Step, p.MinTrades)
	if j.ErrorMessage != "" {
		fmt.Fprintf(w, "Error    %s\n", printable(j.ErrorMessage))
	}
	fmt.Fprintf(w, "Created  %s\n", j.CreatedAt.Local().Format(time.DateTime))
	if !j.Status.Terminal() {
		fmt.Fprintf(w, "Progress %s\n", progressText(j))
	}
	if t := took(j); t != "" {
		fmt.Fprintf(w, "Took     %s\n", t)
	}
	if t := left(j); t != "" {
		fmt.Fprintf(w, "Left     %s\n", t)
	}
	if j.RetryOf != "" {
		fmt.Fprintf(w, "Repeats  %s\n", printable(j.RetryOf))
	}
	if j.GroupID != "" {
		fmt.Fprintf(w, "Group    %s\n", printable(j.GroupID))
	}
	if len(j.Labels) > 0 {
		fmt.Fprintf(w, "Labels   %s\n", printable(strings.Join(j.Labels, ", ")))
	}
	if j.NotifyURL != "" {
		fmt.Fprintf(w, "Calls    %s\n", printable(j.NotifyURL))
	}
	for _, id := range j.RetriedBy {
		fmt.Fprintf(w, "Retried  %s\n", printable(id))
	}
	if j.Metrics != nil {
		fmt.Fprintf(w, "Rows     %d\n", j.Metrics.Combinations)
		printPrices(w, j.Job)
	}
	if len(j.Results) > 0 {
		fmt.Fprintln(w)
		printRows(w, j.Results, wide)
	}
}

// printPrices says what a job's results were computed on.
func printPrices(w io.Writer, j job.Job) {
	d := j.Metrics.Data
	if d == nil || d.Source == "" || j.MadeUp() {
		fmt.Fprintf(w, "Prices   %s\n", printable(j.Prices()))
	} else {
		fmt.Fprintf(w, "Prices   %s\nDays     %s\n", printable(d.Source), printable(d.Span()))
	}
	if d != nil && d.Hash != "" {
		fmt.Fprintf(w, "Hash     %s\n", printable(d.Hash))
	}
	if d != nil && d.BuyAndHoldPct != nil {
		fmt.Fprintf(w, "Holding  %s %% (buy and hold over the same days)\n", figure(*d.BuyAndHoldPct))
	}
	warnMadeUp(w, j)
}

// warnMadeUp says of figures on made-up prices that they are.
func warnMadeUp(w io.Writer, j job.Job) {
	if j.MadeUp() {
		fmt.Fprintf(w, "Made-up prices: these figures say nothing about %s.\n", printable(j.Parameters.Ticker))
	}
}

// printRows prints a table of rows. wide has every figure.
func printRows(w io.Writer, rows []job.Row, wide bool) {
	if len(rows) == 0 {
		fmt.Fprintln(w, "No results.")
		return
	}
	head := []any{"strategy", "fast", "slow", "score", "worst near", "sharpe", "sortino", "return %", "drawdown %", "win %", "profit f.", "trades"}
	if wide {
		head = append(head, "signal", "median near", "annualized %", "calmar", "expectancy", "trades/month", "days/trade")
	}
	g := newGrid(w, head...)
	g.spare, g.wide = []string{"strategy", "sortino", "profit f.", "drawdown %", "win %", "trades", "sharpe", "worst near"}, wide
	for _, name := range head[1:] {
		g.right = append(g.right, fmt.Sprint(name))
	}
	for _, r := range rows {
		cells := []any{
			printable(r.StrategyType), r.FastPeriod, r.SlowPeriod, figure(r.Score), figureOf(r.NeighbourWorst), figure(r.SharpeRatio), figure(r.SortinoRatio),
			figure(r.TotalReturnPct), figure(r.MaxDrawdownPct), figure(r.WinRatePct), figure(r.ProfitFactor), r.TotalTrades,
		}
		if wide {
			signal := ""
			if r.SignalPeriod != nil {
				signal = fmt.Sprint(*r.SignalPeriod)
			}
			cells = append(cells, signal, figureOf(r.NeighbourMedian), figureOf(r.AnnualizedReturn), figureOf(r.CalmarRatio), figureOf(r.ExpectancyPerTrade),
				figureOf(r.TradesPerMonth), figureOf(r.AvgTradeDuration))
		}
		g.add(cells...)
	}
	g.print()
}

func figure(f float64) string { return fmt.Sprintf("%.2f", f) }

// figureOf is empty where nobody has computed it.
func figureOf(f *float64) string {
	if f == nil {
		return ""
	}
	return figure(*f)
}

// printable takes control characters, and those that turn the text around them, from
// a text of others, so that it cannot steer the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' {
			return r
		}
		return job.Printable(r)
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

func printTimeline(w io.Writer, events []job.TimelineEvent) {
	if len(events) == 0 {
		return
	}
	fmt.Fprintln(w)
	g := newGrid(w, "time", "event", "attempt", "error")
	g.wraps, g.spare = "error", []string{"attempt"}
	for _, e := range events {
		attempt := ""
		if e.Attempt > 0 {
			attempt = fmt.Sprint(e.Attempt)
		}
		name := strings.TrimSuffix(strings.TrimPrefix(e.Type, "com.zixly."), ".v1")
		g.add(e.Time.Local().Format("15:04:05.000"), name, attempt, printable(e.Error))
	}
	g.print()
}
