package bench

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func reportOf(values map[string][]float64) *Report {
	return newReport(map[string]map[string][]float64{"always": values})
}

func TestShareOfLimit(t *testing.T) {
	t.Parallel()
	r := reportOf(map[string][]float64{
		"burst.jobs_per_s": {100, 300, 200}, "ceiling.http_per_s": {2000},
		"burst.cpu_ms": {2}, "ceiling.http_cpu_ms": {.1}, "open.p50_ms": {4}, "ceiling.http_ms": {1},
	})
	f := r.figure("burst.jobs_per_s", "always")
	require.Equal(t, 200.0, f.Value, "the median")
	require.Equal(t, 400.0, f.Limit, "five exchanges a job")
	require.Equal(t, .5, f.Share)
	require.InDelta(t, .25, r.figure("burst.cpu_ms", "always").Share, 1e-9, "of what is better if less: the limit's part of it")
	require.Zero(t, r.figure("open.p50_ms", "always").Share, "a part of its limit was not measured")
	require.Nil(t, r.figure("burst.jobs_per_s", "everysec"))
}

func TestCompareSaysWhatGotWorse(t *testing.T) {
	t.Parallel()
	old := reportOf(map[string][]float64{
		"burst.jobs_per_s": {200}, "burst.cpu_ms": {4}, "paced.notified_p50_ms": {10, 20}, "job.burst.events": {5}, "job.burst.redis_commands": {14},
		"idle.sql_per_s": {0}, "ceiling.http_per_s": {9000}, "open.p99_ms": {5},
	})
	r := reportOf(map[string][]float64{
		"burst.jobs_per_s":         {150},       // a quarter fewer
		"burst.cpu_ms":             {4.2},       // within the tolerance
		"paced.notified_p50_ms":    {19, 40},    // more, but the spreads overlap
		"job.burst.events":         {6},         // a fifth more
		"job.burst.redis_commands": {7},         // half
		"idle.sql_per_s":           {3},         // there were none
		"ceiling.http_per_s":       {100},       // the machine, not us
		"burst.memory_mib":         {1_000_000}, // nothing to compare with
	})
	worse, better := r.Compare(old)
	names := func(all []Change) (n []string) {
		for _, c := range all {
			n = append(n, c.Name)
		}
		return n
	}
	require.Equal(t, []string{"idle.sql_per_s", "burst.jobs_per_s", "job.burst.events"}, names(worse), "worst first")
	require.Equal(t, []string{"job.burst.redis_commands"}, names(better))
	require.InDelta(t, 1./3, worse[1].Worse, 1e-9, "the old rate is a third more")
	worse, better = r.Compare(r)
	require.Empty(t, worse)
	require.Empty(t, better)
}

func TestReportSurvivesItsJSON(t *testing.T) {
	t.Parallel()
	r := reportOf(map[string][]float64{"burst.jobs_per_s": {1, 2}, "job.paced.events": {5}})
	r.Left = map[string]map[string]held{"always": {"k:*": {3, 300}}}
	raw, err := json.Marshal(r)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "report.json")
	require.NoError(t, os.WriteFile(file, raw, 0o600))
	again, err := Read(file)
	require.NoError(t, err)
	require.Equal(t, r.Figures, again.Figures)
	_, err = Read(file + ".none")
	require.ErrorIs(t, err, os.ErrNotExist)

	var table bytes.Buffer
	require.NoError(t, r.WriteTable(&table))
	for _, want := range []string{"burst: whole jobs", "1.50 (1.00–2.00)", "3 keys", "k:*"} {
		require.Contains(t, table.String(), want)
	}
	require.NotContains(t, table.String(), "idle: memory", "what was not measured is left out")
}

func TestDefinitionsAreOneOfAKindAndBelongToScenarios(t *testing.T) {
	t.Parallel()
	names, titles := map[string]bool{}, map[string]bool{}
	for _, d := range definitions {
		require.False(t, names[d.name], d.name)
		require.False(t, titles[d.title], d.title)
		names[d.name], titles[d.title] = true, true
		require.Contains(t, Scenarios(), d.part())
		require.Equal(t, d.limit == nil, d.limitIs == "", d.name)
	}
	for name := range (&batch{jobs: 1, used: usage{commands: map[string]float64{}}}).counts() {
		for _, load := range []string{"burst", "paced"} {
			require.True(t, names["job."+load+"."+name], "no figure for the count %s", name)
		}
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	var o Options
	require.NoError(t, o.complete())
	require.Equal(t, 3000, o.Jobs)
	require.Equal(t, fsyncs, o.Fsync)
	require.NotEmpty(t, o.Program)
	require.ErrorContains(t, (&Options{Only: []string{"lunch"}}).complete(), "lunch")
	require.ErrorContains(t, (&Options{Fsync: []string{"no"}}).complete(), "no")
}

func TestNumbersHaveThreeDigits(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{0: "0", .123: "0.12", 1.234: "1.23", 12.34: "12.3", 123.4: "123", 28757.9: "28758"} {
		require.Equal(t, want, number(v))
	}
}
