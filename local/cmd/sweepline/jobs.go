package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	api "github.com/zixly/sweepline/shared/client"
	"github.com/zixly/sweepline/shared/job"
)

// pageSize is how many jobs are asked for at once.
const pageSize = 500

// jobsFlags are the flags of jobs.
type jobsFlags struct {
	which  whichJobs
	sort   string
	cursor string
	limit  int
	follow bool
	out    output
}

func newJobs() *cobra.Command {
	var j jobsFlags
	cmd := remote(&cobra.Command{
		Use:        "jobs",
		SuggestFor: []string{"ls", "list", "ps"},
		Short:      "List jobs, newest or best first, or follow them",
		Example: "  sweepline jobs -s failed --since 2h\n  sweepline jobs -q 'timed out' -n 100 -o csv\n" +
			"  sweepline jobs --label weekly --sort score\n  sweepline jobs --follow",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return j.run(cmd) },
	})
	j.which.flags(cmd, "QUEUED,RUNNING,COMPLETED,FAILED,CANCELLED")
	f := cmd.Flags()
	f.StringVar(&j.sort, "sort", "created", "created (newest first) or score (best first, others last)")
	f.IntVarP(&j.limit, "limit", "n", 20, "how many")
	f.StringVar(&j.cursor, "cursor", "", "go on after an earlier page")
	f.BoolVarP(&j.follow, "follow", "f", false, "print every change as it happens; with -o json an object a line")
	j.out.flags(cmd, allForms...)
	_ = cmd.RegisterFlagCompletionFunc("sort", cobra.FixedCompletions([]string{"created", "score"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (j *jobsFlags) run(cmd *cobra.Command) error {
	filter, err := j.which.filter(time.Now())
	if err != nil {
		return err
	}
	switch {
	case j.sort != "created" && j.sort != "score":
		return usagef("--sort must be created or score")
	case j.limit < 1:
		return usagef("--limit must be 1 or more")
	}
	for _, s := range filter.Status {
		if !s.Listed() {
			return usagef("--status must be QUEUED, RUNNING, COMPLETED, FAILED or CANCELLED, or several with commas between")
		}
	}
	if j.follow {
		return j.runFollow(cmd, filter)
	}
	c, err := newClient(cmd)
	if err != nil {
		return err
	}
	if filter.Cursor = j.cursor; j.sort == "score" {
		filter.Sort = api.BestFirst
	}
	page := api.JobPage{Jobs: []api.Job{}}
	for left := j.limit; ; {
		filter.Limit = min(left, pageSize)
		p, err := c.Jobs(cmd.Context(), filter)
		if err != nil {
			return err
		}
		page.Jobs, page.NextCursor = append(page.Jobs, p.Jobs...), p.NextCursor
		if left -= len(p.Jobs); left <= 0 || p.NextCursor == "" || len(p.Jobs) == 0 {
			break
		}
		filter.Cursor = p.NextCursor
	}
	err = show(cmd, j.out, listing[api.Job]{
		items: page.Jobs, page: page, name: func(j api.Job) string { return j.JobID }, head: jobHead, record: jobRecord,
		table: func(w io.Writer, wide bool) error {
			if len(page.Jobs) == 0 {
				return noJobs(cmd, j.which.narrowed() || j.cursor != "")
			}
			printJobs(w, page.Jobs, wide)
			return nil
		},
	})
	if err == nil && page.NextCursor != "" && j.out.form != formJSON {
		fmt.Fprintf(cmd.ErrOrStderr(), "More: sweepline jobs%s --cursor %s\n", flagsBut(cmd, "cursor"), quoted(printable(page.NextCursor)))
	}
	return err
}

// runFollow follows jobs instead of listing them.
func (j *jobsFlags) runFollow(cmd *cobra.Command, f api.JobFilter) error {
	switch {
	case j.sort == "score" || f.Text+f.Group != "" || len(f.Labels) > 0 || !f.Since.IsZero() || !f.Until.IsZero():
		return usagef("--follow takes --status and --ticker only")
	case j.cursor != "":
		return usagef("--follow goes on from now; it takes no --cursor")
	case len(f.Status) > 1:
		return usagef("--follow takes one state for --status")
	case j.out.form != formTable && !j.out.isJSON():
		return usagef("--follow prints lines, or objects with -o json")
	}
	c, err := newClient(cmd)
	if err != nil {
		return err
	}
	return runFollow(cmd, c, slices.Concat(f.Status, []job.State{""})[0], f.Ticker, j.out.isJSON())
}

func noJobs(cmd *cobra.Command, narrowed bool) error {
	text := "No jobs. Send one with: " + again(cmd, "submit")
	if narrowed {
		text = "No job matches."
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), text)
	return err
}

// printJobs prints a table of jobs. wide has every column.
func printJobs(w io.Writer, all []api.Job, wide bool) {
	labelled := wide || slices.ContainsFunc(all, func(j api.Job) bool { return len(j.Labels) > 0 })
	head := []any{"job", "ticker", "strategy", "status", "progress", "score", "created", "took", "left", "labels"}
	if !labelled {
		head = head[:len(head)-1]
	}
	if wide {
		head = append(head, "fast", "slow", "step", "group", "retry of", "error")
	}
	g := newGrid(w, head...)
	g.right = []string{"progress", "score", "took", "left"}
	g.ids, g.spare, g.wide = "job", []string{"labels", "strategy", "left", "took", "progress", "created"}, wide
	at := "2006-01-02 15:04" // seconds would cost another column its room
	if wide {
		at = time.DateTime
	}
	for _, j := range all {
		p := j.Parameters
		cells := []any{
			j.JobID, printable(j.Ticker), p.StrategyType, coloured(paint(w, j.Shown(), listedStatus(j))), progressText(j),
			bestScore(j), j.CreatedAt.Local().Format(at), took(j), left(j),
		}
		if labelled {
			cells = append(cells, strings.Join(j.Labels, ", "))
		}
		if wide {
			cells = append(cells, span(p.FastRange), span(p.SlowRange), p.Step, j.GroupID, j.RetryOf, j.ErrorMessage)
		}
		g.add(cells...)
	}
	g.print()
}

func span(r [2]int) string { return fmt.Sprintf("%d:%d", r[0], r[1]) }

// jobHead names the columns of jobs in CSV.
var jobHead = []string{
	"job_id", "status", "ticker", "strategy_type", "fast_first", "fast_last", "slow_first", "slow_last", "step", "min_trades", "progress", "best_score",
	"combinations", "made_up_prices", "created_at", "started_at", "completed_at", "duration_seconds", "error_code", "error_message", "labels", "group_id",
	"retry_of", "retried_by",
}

func jobRecord(j api.Job) []string {
	p := j.Parameters
	var score, rows string
	if j.Metrics != nil {
		rows = strconv.Itoa(j.Metrics.Combinations)
		if j.Metrics.Combinations > 0 {
			score = csvFloat(&j.Metrics.BestScore)
		}
	}
	return []string{
		j.JobID, string(j.Shown()), j.Ticker, p.StrategyType, strconv.Itoa(p.FastRange[0]), strconv.Itoa(p.FastRange[1]), strconv.Itoa(p.SlowRange[0]),
		strconv.Itoa(p.SlowRange[1]), strconv.Itoa(p.Step), strconv.Itoa(p.MinTrades), strconv.Itoa(j.Progress), score, rows, strconv.FormatBool(j.MadeUp()),
		csvTime(&j.CreatedAt), csvTime(j.StartedAt), csvTime(j.CompletedAt), csvFloat(j.DurationSeconds), string(j.ErrorCode), j.ErrorMessage,
		strings.Join(j.Labels, " "), j.GroupID, j.RetryOf, strings.Join(j.RetriedBy, " "),
	}
}

// flagsBut are the flags that were given, but for one, as they are given again.
func flagsBut(cmd *cobra.Command, name string) (text string) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if f.Name == name || f.Name == formJSON { // whose pages say what follows
			return
		}
		values := []string{f.Value.String()}
		if many, ok := f.Value.(pflag.SliceValue); ok {
			values = many.GetSlice()
		}
		for _, value := range values {
			if f.Name == "server" {
				value = redacted(value) // a password stands in no hint
			}
			if text += " --" + f.Name; f.Value.Type() != "bool" {
				text += " " + quoted(value)
			}
		}
	})
	return text
}

// quoted is a word as a shell takes it.
func quoted(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.,:/=+", r)
	}
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
