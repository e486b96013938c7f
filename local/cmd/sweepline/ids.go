package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	api "github.com/zixly/sweepline/shared/client"
	"github.com/zixly/sweepline/shared/job"
)

const (
	// shortestID is how many digits of a job's id are enough to look for it.
	shortestID = 6
	// candidates is how many jobs are named where several begin alike.
	candidates = 10
)

// jobID is the id of the job that an argument means: a whole id, its beginning, or "…" and
// its end, as the dashboard shortens ids.
func jobID(ctx context.Context, c *api.Client, text string) (string, error) {
	given := strings.ToLower(strings.TrimSpace(text))
	if job.ValidID(given) {
		return given, nil
	}
	end, isEnd := strings.CutPrefix(given, "…")
	if !isEnd {
		end, isEnd = strings.CutPrefix(given, "...")
	}
	digits := strings.ReplaceAll(end, "-", "")
	if len(digits) < shortestID || len(digits) > 32 || strings.Trim(digits, "0123456789abcdef") != "" {
		return "", usagef("%s must be a job's id, or its first %d digits or more", quoted(printable(text)), shortestID)
	}
	filter := api.JobFilter{Prefix: given, Limit: candidates + 1}
	if isEnd {
		filter = api.JobFilter{Text: end, Limit: 100}
	}
	p, err := c.Jobs(ctx, filter)
	if err != nil {
		return "", err
	}
	var found []api.Job
	for _, j := range p.Jobs {
		if !isEnd || strings.HasSuffix(j.JobID, end) { // the text may be elsewhere in it
			found = append(found, j)
		}
	}
	switch len(found) {
	case 1:
		return found[0].JobID, nil
	case 0:
		return "", fmt.Errorf("no job has an id like %s\n'sweepline jobs' lists yours", quoted(text))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "several jobs have ids like %s; name one of them:", quoted(text))
	for _, j := range found[:min(len(found), candidates)] {
		fmt.Fprintf(&b, "\n  %s  %s %s, %s", j.JobID, j.Ticker, j.Shown(), j.CreatedAt.Local().Format(time.DateTime))
	}
	if len(found) > candidates {
		b.WriteString("\n  …")
	}
	return "", usageError{fmt.Errorf("%s", b.String())}
}

// jobIDs are the ids of all arguments, each once.
func jobIDs(ctx context.Context, c *api.Client, args []string) (ids []string, err error) {
	seen := map[string]bool{}
	for _, text := range args {
		id, err := jobID(ctx, c, text)
		if err != nil {
			return nil, err
		}
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// shortestShown is how many characters of an id a table shows at least.
const shortestShown = 8

// shortIDs are ids as short as tells them apart, in their order.
func shortIDs(ids []string) []string {
	short := slices.Clone(ids)
	for i, id := range ids {
		for n := shortestShown; n < len(id); n++ {
			if !slices.ContainsFunc(ids, func(other string) bool { return other != id && strings.HasPrefix(other, id[:n]) }) {
				short[i] = id[:n]
				break
			}
		}
	}
	return short
}
