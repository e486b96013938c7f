package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"golang.org/x/term"

	"github.com/zixly/sweepline/shared/job"
)

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// newTable makes a table that fits the terminal, where w is one.
func newTable(w io.Writer) table.Writer {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	style := table.StyleLight
	style.Options = table.OptionsNoBordersAndSeparators
	style.Format.HeaderVAlign = 0
	t.SetStyle(style)
	if width, ok := terminalWidth(w); ok {
		t.Style().Size.WidthMax = width
	}
	return t
}

func terminalWidth(w io.Writer) (int, bool) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	return width, err == nil && width > 0
}

func statusText(j job.Job) string {
	if j.ErrorCode != "" {
		return fmt.Sprintf("%s (%s)", j.Status, j.ErrorCode)
	}
	return string(j.Status)
}

func took(j job.Job) string {
	if j.DurationSeconds == nil {
		return ""
	}
	return time.Duration(*j.DurationSeconds * float64(time.Second)).Round(10 * time.Millisecond).String()
}

func printJob(w io.Writer, j job.Job) {
	p := j.Parameters
	fmt.Fprintf(w, "Job      %s\nStatus   %s\nSweep    %s %s, fast %d:%d, slow %d:%d, step %d, at least %d trades\n",
		j.JobID, statusText(j), p.Ticker, p.StrategyType, p.FastRange[0], p.FastRange[1], p.SlowRange[0], p.SlowRange[1], p.Step, p.MinTrades)
	if j.ErrorMessage != "" {
		fmt.Fprintf(w, "Error    %s\n", j.ErrorMessage)
	}
	fmt.Fprintf(w, "Created  %s\n", j.CreatedAt.Local().Format(time.DateTime))
	if t := took(j); t != "" {
		fmt.Fprintf(w, "Took     %s\n", t)
	}
	if j.RetryOf != "" {
		fmt.Fprintf(w, "Repeats  %s\n", j.RetryOf)
	}
	if j.Metrics != nil {
		synthetic := ""
		if j.Metrics.Synthetic {
			synthetic = " on synthetic prices"
		}
		fmt.Fprintf(w, "Rows     %d%s\n", j.Metrics.Combinations, synthetic)
	}
	if len(j.Results) > 0 {
		fmt.Fprintln(w)
		printRows(w, j.Results)
	}
}

func printRows(w io.Writer, rows []job.Row) {
	if len(rows) == 0 {
		fmt.Fprintln(w, "No results.")
		return
	}
	t := newTable(w)
	t.AppendHeader(table.Row{"strategy", "fast", "slow", "score", "sharpe", "sortino", "return %", "drawdown %", "win %", "profit f.", "trades"})
	for _, r := range rows {
		t.AppendRow(table.Row{r.StrategyType, r.FastPeriod, r.SlowPeriod, figure(r.Score), figure(r.SharpeRatio), figure(r.SortinoRatio),
			figure(r.TotalReturnPct), figure(r.MaxDrawdownPct), figure(r.WinRatePct), figure(r.ProfitFactor), r.TotalTrades})
	}
	t.Render()
}

func figure(f float64) string { return fmt.Sprintf("%.2f", f) }

func printTimeline(w io.Writer, events []job.TimelineEvent) {
	if len(events) == 0 {
		return
	}
	fmt.Fprintln(w)
	t := newTable(w)
	t.AppendHeader(table.Row{"time", "event", "attempt", "error"})
	for _, e := range events {
		attempt := ""
		if e.Attempt > 0 {
			attempt = fmt.Sprint(e.Attempt)
		}
		name := strings.TrimSuffix(strings.TrimPrefix(e.Type, "com.zixly."), ".v1")
		t.AppendRow(table.Row{e.Time.Local().Format("15:04:05.000"), name, attempt, e.Error})
	}
	t.Render()
}
