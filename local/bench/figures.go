package bench

import (
	"slices"
	"strings"
)

// direction is which way a figure should go.
type direction string

const (
	less direction = "less"
	more direction = "more"
)

// definition is a kind of figure.
type definition struct {
	name, title, unit string
	better            direction
	// tolerance is the part by which a later value may be worse and still count as
	// the same.
	tolerance float64
	// limit is what the machine can do at best, by other figures; limitIs says it in
	// words. Both are empty where none makes sense.
	limit   func(get func(string) float64) float64
	limitIs string
}

// Tolerances. Times on a shared machine vary by a tenth or more; counts by how much
// is grouped.
const (
	ofTime  = .15
	ofCount = .05
)

// outside is how many HTTP exchanges with outsiders a job has: webhook, submission,
// callback, results, notification.
const outside = 5

func times(name string, factor float64) func(func(string) float64) float64 {
	return func(get func(string) float64) float64 { return get(name) * factor }
}

func sum(names ...string) func(func(string) float64) float64 {
	return func(get func(string) float64) float64 {
		total := 0.0
		for _, n := range names {
			v := get(n)
			if v == 0 {
				return 0
			}
			total += v
		}
		return total
	}
}

// definitions are all figures, in the order of the table.
var definitions = slices.Concat([]definition{
	{"burst.jobs_per_s", "burst: whole jobs", "/s", more, ofTime, times("ceiling.http_per_s", 1./outside), "net/http ÷ 5 exchanges"},
	{"burst.cpu_ms", "burst: CPU of ours a job", "ms", less, ofTime, times("ceiling.http_cpu_ms", outside), "5 net/http exchanges"},
	{"burst.cpu_postgres_ms", "burst: CPU of PostgreSQL a job", "ms", less, ofTime, times("ceiling.pg_insert_cpu_ms", 1), "one insert"},
	{"burst.cpu_redis_ms", "burst: CPU of Redis a job", "ms", less, ofTime, nil, ""},
	{"burst.jobs_per_core_s", "burst: jobs for a second of CPU, ours, PostgreSQL's and Redis' together", "/s", more, ofTime, nil, ""},
	{"burst.cpu_driver_ms", "burst: CPU of the driver and its stubs a job", "ms", less, ofTime, nil, ""},
	{"burst.accepted_per_s", "burst: webhooks accepted while jobs run", "/s", more, ofTime, nil, ""},
	{"burst.refused", "burst: webhooks refused for now", "", less, ofTime, nil, ""},
	{"burst.memory_mib", "burst: memory afterwards", "MiB", less, ofTime, nil, ""},
	{"delayed.jobs_per_s", "callbacks after 1 s: whole jobs", "/s", more, ofTime, times("burst.jobs_per_s", 1), "without delay"},
	{"paced.notified_p50_ms", "paced: 202 to notification, p50", "ms", less, ofTime, nil, ""},
	{"paced.notified_p99_ms", "paced: 202 to notification, p99", "ms", less, ofTime, nil, ""},
	{"paced.due_p50_ms", "paced: due to notification, p50", "ms", less, ofTime, nil, ""},
	{"paced.due_p99_ms", "paced: due to notification, p99", "ms", less, ofTime, nil, ""},
	{"paced.cpu_ms", "paced: CPU of ours a job", "ms", less, ofTime, nil, ""},
	{"paced.cpu_postgres_ms", "paced: CPU of PostgreSQL a job", "ms", less, ofTime, nil, ""},
	{"paced.cpu_redis_ms", "paced: CPU of Redis a job", "ms", less, ofTime, nil, ""},
	{"accept.per_s", "webhooks accepted, 32 connections", "/s", more, ofTime, times("ceiling.http_per_s", 1), "net/http"},
	{"accept.cpu_ms", "webhooks: CPU of ours each", "ms", less, ofTime, times("ceiling.http_cpu_ms", 1), "net/http"},
	{"accept.cpu_redis_ms", "webhooks: CPU of Redis each", "ms", less, ofTime, nil, ""},
	{"open.p50_ms", "1,000 webhooks/s: p50", "ms", less, ofTime, sum("ceiling.http_ms", "ceiling.redis_xadd_ms"), "net/http + XADD"},
	{"open.p99_ms", "1,000 webhooks/s: p99", "ms", less, ofTime, nil, ""},
	{"broker.accepted_per_s", "broker alone: events accepted, 64 connections", "/s", more, ofTime, times("ceiling.http_per_s", 1), "net/http"},
	{"broker.delivered_per_s", "broker alone: events accepted and delivered", "/s", more, ofTime, times("ceiling.http_per_s", .5), "net/http ÷ 2 exchanges"},
	{"broker.p50_ms", "broker alone: 1,000/s, due to delivery, p50", "ms", less, ofTime, nil, ""},
	{"broker.p99_ms", "broker alone: 1,000/s, due to delivery, p99", "ms", less, ofTime, nil, ""},
	{"idle.memory_mib", "idle: memory", "MiB", less, ofTime, nil, ""},
	{"idle.anonymous_mib", "idle: memory that is no file's", "MiB", less, ofTime, nil, ""},
	{"idle.cpu_percent", "idle: CPU of ours", "% of a core", less, ofTime, nil, ""},
	{"idle.redis_per_s", "idle: Redis commands, those of scripts too", "/s", less, ofCount, nil, ""},
	{"idle.sql_per_s", "idle: SQL statements", "/s", less, ofCount, nil, ""},
	{"start.first_202_ms", "start to first 202", "ms", less, ofTime, nil, ""},
}, perJob("burst", "in a burst"), perJob("paced", "paced"), []definition{
	{"ceiling.http_per_s", "limit: net/http, 32 connections", "/s", more, ofTime, nil, ""},
	{"ceiling.http_cpu_ms", "limit: CPU of a net/http exchange", "ms", less, ofTime, nil, ""},
	{"ceiling.http_ms", "limit: one net/http exchange after the other, p50", "ms", less, ofTime, nil, ""},
	{"ceiling.redis_ping_per_s", "limit: Redis PING, pipelines of 100", "/s", more, ofTime, nil, ""},
	{"ceiling.redis_xadd_per_s", "limit: Redis XADD of 1 kB, pipelines of 100", "/s", more, ofTime, nil, ""},
	{"ceiling.redis_xadd_ms", "limit: one XADD after the other, p50", "ms", less, ofTime, nil, ""},
	{"ceiling.pg_insert_per_s", "limit: PostgreSQL inserts of one row, 8 connections", "/s", more, ofTime, nil, ""},
	{"ceiling.pg_insert_cpu_ms", "limit: CPU of PostgreSQL for one insert", "ms", less, ofTime, nil, ""},
	{"ceiling.pg_insert_ms", "limit: one insert after the other, p50", "ms", less, ofTime, nil, ""},
})

// perJob are the counts of one job, under a load's name.
func perJob(load, words string) []definition {
	var out []definition
	for _, d := range []definition{
		{name: "redis_commands", title: "Redis commands from clients"},
		{name: "redis_trips", title: "round trips to Redis"},
		{name: "redis_scripts", title: "scripts called"},
		{name: "redis_executed", title: "Redis commands, those of scripts too"},
		{name: "sql_statements", title: "SQL statements"},
		{name: "sql_control", title: "… of which begin, commit, set"},
		{name: "sql_nested", title: "SQL statements of functions and constraints"},
		{name: "sql_writes", title: "transactions that wrote"},
		{name: "sql_wal_kb", title: "write-ahead log", unit: "kB"},
		{name: "http_functions", title: "requests to functions"},
		{name: "http_ingress", title: "requests to the broker's ingress"},
		{name: "http_api", title: "requests to the trading API"},
		{name: "http_slack", title: "requests to Slack"},
		{name: "http_conns", title: "connections opened to both"},
		{name: "events", title: "events stored"},
		{name: "allocations", title: "allocations"},
		{name: "allocated_kb", title: "memory allocated", unit: "kB"},
		{name: "left_keys", title: "keys left in Redis"},
		{name: "left_kb", title: "memory left in Redis", unit: "kB"},
	} {
		d.name, d.title, d.better, d.tolerance = "job."+load+"."+d.name, "a job "+words+": "+d.title, less, ofCount
		out = append(out, d)
	}
	return out
}

func definitionOf(name string) (definition, bool) {
	i := slices.IndexFunc(definitions, func(d definition) bool { return d.name == name })
	if i < 0 {
		return definition{}, false
	}
	return definitions[i], true
}

// part is the scenario that a figure belongs to.
func (d definition) part() string {
	part, _, _ := strings.Cut(d.name, ".")
	return part
}
