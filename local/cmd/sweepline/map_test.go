package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/heatmap"
	"github.com/zixly/sweepline/shared/job"
)

// sweep answers a job with rows over fast and slow periods; the best is at the last of
// fast and the first of slow.
func sweep(t *testing.T, fast, slow, step int) string {
	t.Helper()
	j := job.Job{JobID: idA, Status: job.Completed, Ticker: "DAX", Parameters: job.Sweep{Ticker: "DAX", StrategyType: job.SMA, Step: step}}
	for f := range fast {
		for s := range slow {
			j.Results = append(j.Results, job.Row{StrategyType: job.SMA, FastPeriod: (f + 1) * step, SlowPeriod: 100 + s*step, Score: float64(f*100 - s), TotalTrades: 10})
		}
	}
	j.Metrics = &job.Metrics{Combinations: len(j.Results), BestScore: 1}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(j) }))
	t.Cleanup(server.Close)
	return server.URL
}

func TestMap(t *testing.T) {
	t.Parallel()
	at := "SWEEPLINE_URL=" + sweep(t, 10, 30, 5)
	out, errs, code := command(t, strings.TrimPrefix(at, "SWEEPLINE_URL="), "map", idA)
	require.Equal(t, exitDone, code, errs)
	require.NotContains(t, out, "\x1b", "a pipe is no terminal")
	lines := strings.Split(out, "\n")
	require.Regexp(t, `^ +X@@@`, lines[3], "the best is above on the left")
	require.Regexp(t, `^ +5 \.+`, lines[12], "the least of fast is below")
	require.Regexp(t, `^slow 100 +1\d\d +`, lines[13])
	require.Contains(t, out, "X  score 900.00 at fast 50, slow 100")

	for env, colour := range map[string]string{
		"COLORTERM=truecolor": `\x1b\[[0-9;]*[34]8;2;253;231;37`, "TERM=xterm-256color": `\x1b\[[0-9;]*[34]8;5;`, "TERM=xterm": "", "TERM=dumb": "", "NO_COLOR=1": "",
	} {
		for _, columns := range []int{80, 120, 72} {
			out = onTerminal(t, columns, []string{at, "COLORTERM=", env}, "map", idA)
			require.Contains(t, out, "X")
			if colour == "" {
				require.NotContains(t, out, "\x1b", env)
			} else {
				require.Regexp(t, colour, out, env)
			}
			for line := range strings.Lines(out) {
				require.LessOrEqual(t, text.StringWidthWithoutEscSequences(strings.TrimRight(line, "\n")), min(columns, 80), env)
			}
		}
	}
	out, _, code = command(t, strings.TrimPrefix(at, "SWEEPLINE_URL="), "map", idA, "--metric", "trades", "--stat", "worst")
	require.Equal(t, exitDone, code)
	require.Contains(t, out, "Trades")
	for _, args := range [][]string{{"--metric", "luck"}, {"--stat", "mean"}} {
		_, _, code = command(t, strings.TrimPrefix(at, "SWEEPLINE_URL="), append([]string{"map", idA}, args...)...)
		require.Equal(t, exitUsage, code)
	}
	_, errs, code = command(t, sweep(t, 1, 1, 1), "map", idA)
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "too few")
}

// The map of a large sweep is drawn from its surface, and from rows where the server has
// none.
func TestMapOfManyRows(t *testing.T) {
	t.Parallel()
	var rows []job.Row
	for f := range 10 {
		for s := range 30 {
			rows = append(rows, job.Row{StrategyType: job.SMA, FastPeriod: f + 1, SlowPeriod: 100 + s, Score: float64(f*100 - s)})
		}
	}
	surface, ok := heatmap.OfRows(rows, 1)
	require.True(t, ok)
	drawn := map[string]string{}
	for version, answer := range map[string]any{"now": surface, "before": nil, "broken": map[string]int{"rows": 1}} {
		var read atomic.Bool
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasSuffix(r.URL.Path, "/surface") && answer == nil:
				http.NotFound(w, r)
			case strings.HasSuffix(r.URL.Path, "/surface"):
				_ = json.NewEncoder(w).Encode(answer)
			case strings.HasSuffix(r.URL.Path, "/results"):
				read.Store(true)
				_ = json.NewEncoder(w).Encode(map[string]any{"results": rows})
			default:
				_ = json.NewEncoder(w).Encode(job.Job{
					JobID: idA, Status: job.Completed, Ticker: "DAX", Parameters: job.Sweep{Step: 1}, Metrics: &job.Metrics{Combinations: len(rows)}, Results: rows[:10],
				})
			}
		}))
		t.Cleanup(server.Close)
		out, errs, code := command(t, server.URL, "map", idA)
		require.Equal(t, version == "before", read.Load(), version)
		if version == "broken" {
			require.Equal(t, exitFailed, code)
			require.Contains(t, errs, "decode surface")
			continue
		}
		require.Equal(t, exitDone, code, errs)
		drawn[version] = out
	}
	require.Equal(t, drawn["before"], drawn["now"])
	require.Contains(t, drawn["now"], "X  score 900.00 at fast 10, slow 100")
}

// Each shape of a map keeps its form: as many columns on every line, the best once.
func TestMapShapes(t *testing.T) {
	t.Parallel()
	axis := regexp.MustCompile(`\n *slow `)
	escapes := regexp.MustCompile(`\x1b\[[0-9;]*m`)
	for _, shape := range [][2]int{{1, 2}, {2, 1}, {2, 2}, {3, 48}, {32, 48}, {60, 400}, {7, 13}, {40, 3}} {
		var rows []job.Row
		for f := range shape[0] {
			for s := range shape[1] {
				rows = append(rows, job.Row{StrategyType: job.SMA, FastPeriod: f + 1, SlowPeriod: 100 + s, Score: float64((f*7 + s*13) % 31)})
			}
		}
		surface, ok := heatmap.OfRows(rows, 1)
		require.True(t, ok)
		for m := range heatmap.Metrics {
			for _, p := range []palette{noColours, colours256, trueColours} {
				var b strings.Builder
				drawMap(&b, surface.Map(m, heatmap.Best), p)
				plain := escapes.ReplaceAllString(b.String(), "")
				drawing := axis.Split(strings.SplitN(plain, "\n\n", 2)[1], 2)[0]
				if shape == [2]int{32, 48} && p != noColours && m == 0 {
					require.Contains(t, drawing, "▀", "two fields in a line")
				}
				require.Equal(t, 1, strings.Count(drawing, "X"), "%v %s", shape, plain)
				require.LessOrEqual(t, strings.Count(drawing, "\n"), mapLines)
				for line := range strings.Lines(plain) {
					require.LessOrEqual(t, text.StringWidthWithoutEscSequences(strings.TrimRight(line, "\n")), 80)
				}
			}
		}
	}
}
