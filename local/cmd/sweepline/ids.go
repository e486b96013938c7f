package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	api "github.com/zixly/sweepline/shared/client"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
)

const (
	// candidates is how many jobs are named where several begin alike.
	candidates = 10
	// maxLookups bounds the pages that are read to find a job by a part of its id.
	maxLookups = 20
	// idDigits is how many hexadecimal digits an id has, and lastGroup those after its last
	// dash.
	idDigits, lastGroup = 32, 12
)

// jobID is the id of the job that an argument means: a whole id, its beginning, or "…" and
// its end, as the dashboard shortens ids. What the server answers is compared with the
// argument: a server, or a proxy, that ignores the filter must not have us act on another
// job.
func jobID(cmd *cobra.Command, c *api.Client, text string) (string, error) {
	given := strings.ToLower(strings.TrimSpace(text))
	if job.ValidID(given) {
		return given, nil
	}
	end, isEnd := strings.CutPrefix(given, "…")
	if !isEnd {
		end, isEnd = strings.CutPrefix(given, "...")
	}
	digits := digitsOf(end)
	if len(digits) < jobstore.MinPrefix || len(digits) > idDigits || strings.Trim(digits, "0123456789abcdef") != "" {
		return "", usagef("%s must be a job's id, or its first %d digits or more", quoted(printable(text)), jobstore.MinPrefix)
	}
	filter, meant := api.JobFilter{Prefix: digits, Limit: candidates + 1}, strings.HasPrefix
	if isEnd {
		// The filter by text finds it elsewhere in jobs too.
		filter, meant = api.JobFilter{Text: digits[max(0, len(digits)-lastGroup):], Limit: pageSize}, strings.HasSuffix
	}
	var found []api.Job
	seen := map[string]bool{}
	for range maxLookups {
		p, err := c.Jobs(cmd.Context(), filter)
		if err != nil {
			return "", err
		}
		for _, j := range p.Jobs {
			if job.ValidID(j.JobID) && meant(digitsOf(j.JobID), digits) && !seen[j.JobID] {
				seen[j.JobID] = true
				found = append(found, j)
			}
		}
		if filter.Cursor = p.NextCursor; filter.Cursor == "" || len(found) > 1 {
			break
		}
	}
	switch {
	case len(found) > 1:
		return "", usageError{several(text, found)}
	case filter.Cursor != "": // there may be another
		return "", usagef("too many jobs to search for %s: name the job by its whole id, or by more of its beginning", quoted(text))
	case len(found) == 1:
		return found[0].JobID, nil
	}
	return "", fmt.Errorf("no job has an id like %s\nYour jobs: %s", quoted(text), again(cmd, "jobs"))
}

// digitsOf are those of an id, or of a part of it.
func digitsOf(id string) string { return strings.ReplaceAll(id, "-", "") }

// several says which jobs an argument may mean.
func several(text string, found []api.Job) error {
	var b strings.Builder
	fmt.Fprintf(&b, "several jobs have ids like %s; name one of them:", quoted(text))
	for _, j := range found[:min(len(found), candidates)] {
		what := strings.Map(job.Printable, j.Ticker+" "+string(j.Shown())) // in one line
		fmt.Fprintf(&b, "\n  %s  %s, %s", j.JobID, what, j.CreatedAt.Local().Format(time.DateTime))
	}
	if len(found) > candidates {
		b.WriteString("\n  …")
	}
	return errors.New(b.String())
}

// jobIDs are the ids of all arguments, each once.
func jobIDs(cmd *cobra.Command, c *api.Client, args []string) (ids []string, err error) {
	seen := map[string]bool{}
	for _, text := range args {
		id, err := jobID(cmd, c, text)
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
	sorted := slices.Clone(ids)
	slices.Sort(sorted)
	sorted = slices.Compact(sorted)
	need := make(map[string]int, len(sorted))
	for i, id := range sorted {
		need[id] = shortestShown
		for _, other := range sorted[max(0, i-1):min(len(sorted), i+2)] { // who begins most like it is beside it
			if other != id {
				need[id] = max(need[id], alike(id, other)+1)
			}
		}
	}
	short := make([]string, len(ids))
	for i, id := range ids {
		short[i] = id[:min(need[id], len(id))]
	}
	return short
}

// alike is how many bytes both begin with.
func alike(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}
