//go:build !race

package bench

import (
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kelseyhightower/envconfig"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/servers"
)

// budgets are what one job may cost, in a burst of jobs and where they come at 100 a
// second; accept is one webhook at a receiver. Beside each stands the most that was
// measured when it was set. What is grouped (Redis commands, statements, calls of
// store) has room, since more cores group less; what is exact has none. Who makes a
// job cheaper lowers them; who raises one says why.
var budgets = map[string]budget{
	"burst.redis_commands": {measured: 8.2, most: 10},
	"burst.redis_trips":    {measured: 2.1, most: 4},
	"burst.redis_scripts":  {measured: 6.5, most: 8},
	"burst.redis_executed": {measured: 84, most: 100},
	"burst.sql_statements": {measured: 0.66, most: 1.2},
	"burst.sql_nested":     {measured: 4.7, most: 9},
	"burst.sql_writes":     {measured: 0.48, most: 1.2},
	"burst.sql_wal_kb":     {measured: 9.1, most: 10.5},
	"burst.http_functions": {measured: 7.5, most: 9},
	"burst.http_ingress":   {measured: 3.01, most: 3.1},
	"burst.http_api":       {measured: 2.18, most: 2.3},
	"burst.http_slack":     {measured: 1, most: 1},
	"burst.events":         {measured: 6, most: 6},
	"burst.allocations":    {measured: 3690, most: 4200},
	"burst.left_keys":      {measured: 9.01, most: 9.1},
	"burst.left_kb":        {measured: 8.91, most: 9.9}, // each event carries a seal
	"paced.redis_commands": {measured: 14.4, most: 18},
	"paced.redis_trips":    {measured: 14.1, most: 18},
	"paced.redis_scripts":  {measured: 12.9, most: 16},
	"paced.redis_executed": {measured: 133, most: 175},
	// One for a job's rows, one for its end, and what nobody waits for 50 times a second
	// at most: others' ends take it along.
	"paced.sql_statements":  {measured: 3.7, most: 5},
	"paced.sql_nested":      {measured: 21.8, most: 30},
	"paced.sql_writes":      {measured: 2.5, most: 3.8},
	"paced.sql_wal_kb":      {measured: 8.6, most: 10.5},
	"paced.http_functions":  {measured: 11.3, most: 13},
	"paced.http_ingress":    {measured: 3.01, most: 3.1},
	"paced.http_api":        {measured: 2.01, most: 2.1},
	"paced.http_slack":      {measured: 1, most: 1},
	"paced.events":          {measured: 6, most: 6},
	"paced.allocations":     {measured: 4950, most: 5700},
	"paced.left_keys":       {measured: 9, most: 9.1},
	"paced.left_kb":         {measured: 9.4, most: 9.9},
	"accept.redis_commands": {measured: 1.47, most: 2.1},
	"accept.redis_executed": {measured: 14.6, most: 16},
	"accept.http_functions": {measured: 1, most: 1},
	"accept.http_ingress":   {measured: 1, most: 1},
	"idle.redis_per_s":      {measured: 34.5, most: 40},
	"idle.sql_per_s":        {measured: 0, most: .5},
}

// budget is the most that something may be, beside what it was.
type budget struct{ measured, most float64 }

// over names what is above its budget, and what has none or was not measured.
func over(counts map[string]float64, budgets map[string]budget) []string {
	var bad []string
	for _, name := range slices.Sorted(maps.Keys(budgets)) {
		n, ok := counts[name]
		switch b := budgets[name]; {
		case !ok:
			bad = append(bad, name+" was not measured")
		case n > b.most:
			bad = append(bad, fmt.Sprintf("%s is %.4g, its budget %.4g, measured when it was set %.4g", name, n, b.most, b.measured))
		}
	}
	return bad
}

func TestOverNamesWhatIsAboveItsBudget(t *testing.T) {
	t.Parallel()
	b := map[string]budget{"a": {1, 2}, "b": {1, 2}, "c": {1, 2}}
	require.Equal(t, []string{"b is 2.5, its budget 2, measured when it was set 1", "c was not measured"}, over(map[string]float64{"a": 2, "b": 2.5, "d": 9}, b))
}

var settings struct {
	Require bool `envconfig:"SWEEPLINE_REQUIRE_SERVERS"`
}

// TestBudget counts what jobs cost: through start.sh, on private servers, before stubs.
// Everything is counted from outside and divided by the number of jobs.
func TestBudget(t *testing.T) {
	envconfig.MustProcess("", &settings)
	program, err := filepath.Abs("../../.build/bench/sweepline") // where make clean finds it
	require.NoError(t, err)
	said, err := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "../cmd/sweepline").CombinedOutput()
	require.NoError(t, err, string(said))
	l, err := newLab(t.Context(), program)
	if errors.Is(err, servers.ErrNotInstalled) && !settings.Require {
		t.Skip("left out: needs a real PostgreSQL (install it)")
	}
	require.NoError(t, err)
	t.Cleanup(l.close)
	if err = l.useRedis(t.Context(), "everysec"); errors.Is(err, servers.ErrNotInstalled) && !settings.Require {
		t.Skip("left out: needs a real Redis (install it)")
	}
	require.NoError(t, err)

	counts := map[string]float64{}
	keep := func(prefix string, from map[string]float64) {
		for name, n := range from {
			counts[prefix+"."+name] = n
		}
	}
	const jobs = 300
	const idleSeconds = 10 // two rounds of what is done every five seconds, wherever they begin
	r, err := l.start(t.Context(), all, true)
	require.NoError(t, err)
	b, err := r.burst(t.Context(), jobs)
	require.NoError(t, err)
	keep("burst", b.counts())
	b, err = r.paced(t.Context(), jobs, 100)
	require.NoError(t, err)
	keep("paced", b.counts())
	before, err := r.usage(t.Context())
	require.NoError(t, err)
	<-time.After(idleSeconds * time.Second)
	after, err := r.usage(t.Context())
	require.NoError(t, err)
	u, span := after.since(before), after.at.Sub(before.at).Seconds()
	idle := (&batch{jobs: idleSeconds, used: u}).calls()
	keep("idle", map[string]float64{"redis_per_s": (u.inRedis["total_commands_processed"] - 1) / span, "sql_per_s": u.inSQL["statements"] / span})
	require.NoError(t, r.close(t.Context()))
	keys, paced := b.keys, b.calls()

	// A receiver accepts, and leaves the rest to others.
	r, err = l.start(t.Context(), receiver, true)
	require.NoError(t, err)
	l.slack.expect(0)
	if before, err = r.usage(t.Context()); err == nil {
		_, err = closedLoop(t.Context(), r.pipe.host, same(r.webhook()), jobsConns, jobs)
	}
	require.NoError(t, err)
	after, err = r.usage(t.Context())
	require.NoError(t, err)
	u = after.since(before)
	keep("accept", (&batch{jobs: jobs, used: u}).counts())
	require.Zero(t, u.atAPI["submit"]+u.atSlack["posts"], "a receiver submits or tells")
	require.NoError(t, r.close(t.Context()))

	for _, name := range slices.Sorted(maps.Keys(budgets)) {
		hint := ""
		if n := counts[name]; n < budgets[name].measured*.6 {
			hint = "  lower the budget"
		}
		t.Logf("%-24s %8.2f of %8.2f%s", name, counts[name], budgets[name].most, hint)
	}
	bad := over(counts, budgets)
	if len(bad) > 0 {
		var s strings.Builder
		fmt.Fprintf(&s, "left in Redis: %v\nsent by a paced job:\n", keys)
		writeCalls(&s, paced)
		s.WriteString("sent in a second of idling:\n")
		writeCalls(&s, idle)
		t.Log(s.String())
	}
	require.Empty(t, bad)
}
