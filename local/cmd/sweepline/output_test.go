package main

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/stretchr/testify/require"

	api "github.com/zixly/sweepline/shared/client"
)

const (
	idA = "019a8f3e-5b1c-7e4d-9f00-3b7d5c2a1e90"
	idB = "019a8f3e-5b1d-7e4d-9f00-3b7d5c2a1e91"
)

// listed answers lists with two jobs, and notes what was asked for.
func listed(t *testing.T) (base string, asked func() string) {
	t.Helper()
	last := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		last = r.URL.Path + "?" + r.URL.RawQuery
		one := `{"job_id":"` + idA + `","status":"COMPLETED","ticker":"=1+1","parameters":{"ticker":"=1+1","fast_range":[5,50],"slow_range":[20,200],"step":5},` +
			`"metrics":{"combinations":3,"best_score":-1.5},"created_at":"2026-01-31T12:00:00.5Z","labels":["a","b"]}`
		two := `{"job_id":"` + idB + `","status":"RUNNING","ticker":"D\u001b[31mAX","parameters":{"ticker":"DAX"},"created_at":"2026-01-31T12:00:00Z","progress":40,"elapsed_seconds":3}`
		switch prefix := r.URL.Query().Get("prefix"); {
		case prefix == "ffffffff":
			_, _ = w.Write([]byte(`{"jobs":[]}`))
		case strings.HasPrefix(prefix, "019a8f3e5b1c"), r.URL.Query().Get("q") == "5c2a1e90":
			_, _ = w.Write([]byte(`{"jobs":[` + one + `]}`))
		case r.URL.Path == "/api/jobs":
			_, _ = w.Write([]byte(`{"jobs":[` + one + `,` + two + `],"next_cursor":"c"}`))
		case strings.HasSuffix(r.URL.Path, "/events"):
			_, _ = w.Write([]byte(`{"events":[]}`))
		default:
			_, _ = w.Write([]byte(one))
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, func() string { return last }
}

func TestForms(t *testing.T) {
	t.Parallel()
	base, asked := listed(t)
	out := func(form string) string {
		t.Helper()
		out, errs, code := command(t, base, "jobs", "-n", "2", "-o", form)
		require.Equal(t, exitDone, code, errs)
		require.NotContains(t, out, "\x1b")
		require.Equal(t, form != formJSON, strings.Contains(errs, "More: "), "JSON has it itself")
		return out
	}
	require.Equal(t, idA+"\n"+idB+"\n", out(formName))
	var page api.JobPage
	require.NoError(t, json.Unmarshal([]byte(out(formJSON)), &page))
	require.Equal(t, "c", page.NextCursor)
	require.Contains(t, out(formJSON), `"created_at": "2026-01-31T12:00:00.500Z"`, "as the API writes it")
	lines := strings.Split(strings.TrimSpace(out(formJSONL)), "\n")
	require.Len(t, lines, 2)
	var one api.Job
	require.NoError(t, json.Unmarshal([]byte(lines[1]), &one))
	require.Equal(t, idB, one.JobID)
	records, err := csv.NewReader(strings.NewReader(out(formCSV))).ReadAll()
	require.NoError(t, err)
	require.Len(t, records, 3)
	cell := func(row int, name string) string {
		for i, head := range records[0] {
			if head == name {
				return records[row][i]
			}
		}
		require.Fail(t, name)
		return ""
	}
	require.Equal(t, "'=1+1", cell(1, "ticker"), "no formula")
	require.Equal(t, "-1.5", cell(1, "best_score"), "a number")
	require.Equal(t, "2026-01-31T12:00:00.500Z", cell(1, "created_at"))
	require.Equal(t, "a b", cell(1, "labels"))
	require.Empty(t, cell(2, "best_score"))
	require.Contains(t, out(formWide), "5:50")
	require.Contains(t, out(formTable), "-1.50")

	plain, _, _ := command(t, base, "jobs", "-n", "2", "--json")
	require.Equal(t, out(formJSON), plain, "the same by its old name")
	for _, args := range [][]string{{"jobs", "-o", "yaml"}, {"jobs", "-o", "csv", "--json"}, {"watch", idA, "-o", "csv"}} {
		_, errs, code := command(t, base, args...)
		require.Equal(t, exitUsage, code, errs)
	}

	_, errs, _ := command(t, base, "jobs", "-n", "2", "--json=false")
	require.Contains(t, errs, "More: sweepline jobs --limit 2 --cursor c\n")

	// All filters of the API, and all of them again in the next page.
	_, errs, code := command(t, base, "jobs", "-s", "failed,running", "-t", "DAX", "-q", "timed out", "-g", idA, "-l", "weekly", "--since", "2h",
		"--until", "2026-01-31T12:00:00Z", "--sort", "score", "-n", "1")
	require.Equal(t, exitDone, code)
	for _, part := range []string{"status=FAILED%2CRUNNING", "ticker=DAX", "q=timed+out", "group=" + idA, "label=weekly", "since=20", "until=2026-01-31T12", "sort=score", "limit=1"} {
		require.Contains(t, asked(), part)
	}
	require.Regexp(t, `More: sweepline jobs --group `+idA+` --label weekly --limit 1 --since 20\S+Z --sort score --status failed,running --text 'timed out' --ticker DAX --until 2026-01-31T12:00:00Z --cursor c`, errs)

	for columns, whole := range map[int]bool{80: false, 120: false, 140: true} {
		shown := onTerminal(t, columns, []string{"SWEEPLINE_URL=" + base}, "jobs", "-n", "2")
		require.Equal(t, whole, strings.Contains(shown, idA), shown)
		require.Contains(t, shown, "019a8f3e-5b1c")
		require.Contains(t, shown, "-1.50", "the best score is never left out")
		for line := range strings.Lines(shown) {
			require.LessOrEqual(t, text.StringWidthWithoutEscSequences(strings.TrimRight(line, "\n")), columns)
		}
	}
}
