package docs

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions"
	"github.com/zixly/sweepline/shared/event"
)

// schema is as much of a JSON Schema as the page shows.
type schema struct {
	Description string
	Type        any
	Format      string
	Const       any
	Enum        []any
	Required    []string
	Properties  map[string]schema
	Items       *schema
}

// meanings of the members of events. A member that is not here fails the test.
var meanings = map[string]string{
	"job_id":            "The job.",
	"tenant_id":         "Whose job it is.",
	"job_type":          "What kind of job it is.",
	"parameters":        "The sweep that was asked for.",
	"created_at":        "When the job was accepted.",
	"retry_of":          "The job that this one repeats.",
	"group_id":          "The group of the job: the id of the group's first job.",
	"labels":            "The owner's words for the job, sorted.",
	"notify_url":        "The address that is called when the job has ended.",
	"turn":              "Counts the admissions or submissions of this job, from 1.",
	"admitted_at":       "When the job was given a slot.",
	"trading_job_id":    "The sweep's id at the trading API.",
	"submitted_at":      "When the trading API took the sweep.",
	"estimated_seconds": "How long the sweep will take, by the trading API's own estimate.",
	"sweep_run_id":      "The run whose rows are the results.",
	"completed_at":      "When the sweep ended.",
	"execution_seconds": "How long the sweep ran, by the trading API's own word.",
	"via":               "How the end became known, such as by a callback or a poll.",
	"late":              "The end came after another one: it is kept in the timeline and changes nothing.",
	"collected_at":      "When the last row was stored.",
	"rows":              "How many rows are stored.",
	"total":             "How many rows the trading API had.",
	"best_score":        "The highest score of all rows; 0 where there are none.",
	"synthetic":         "The results were computed on made-up prices.",
	"data":              "What the results were computed on, where the trading API tells.",
	"best":              "The best rows by score, ten at most.",
	"error_code":        "Why the job failed, for programs: see [errors](errors.md#failed-jobs).",
	"error_message":     "Why the job failed, for people.",
	"failed_at":         "When the job failed.",
	"job":               "The job as the API shows it, with its best rows.",
	"notified":          "Channels that are known to have been notified, in an event that is sent again.",
	"channel":           "The channel that was notified, or given up.",
	"notified_at":       "When the channel was notified, or given up.",
	"again":             "The channel may have been notified before, by an attempt that died.",
	"left":              "How many channels were still to be notified then.",
	"error":             "Why the channel was given up; absent where it was notified.",
}

func eventsPage(t *testing.T) string {
	var b strings.Builder
	generated(&b, "Events", "go test ./local/docs")
	b.WriteString(`The CloudEvents by which the functions know each other. The same for programs: [asyncapi.json](../../shared/event/asyncapi.json), with the JSON
Schema and an example of each. An event may come twice, late and out of order; a new form of data is a new type.

| attribute | |
|---|---|
| ` + "`id`" + ` | the job's id and the step: the same step of the same job has the same id |
| ` + "`source`" + ` | the function that sends it, ` + "`/sweepline/NAME`" + ` |
| ` + "`subject`, `partitionkey`" + ` | the job's id |
| ` + "`time`" + ` | when it happened |
| ` + "`dataschema`" + ` | the ` + "`$id`" + ` of the JSON Schema of its data |
| ` + "`tenantid`" + ` | the job's tenant |
| ` + "`sweepseal`" + ` | the [seal](../../SECURITY.md#events) by which a function believes it |
| ` + "`traceparent`, `tracestate`" + ` | W3C Trace Context |

## Types

| type | | sent by | taken by |
|---|---|---|---|
`)
	schemas := map[string]schema{}
	for _, typ := range event.Types() {
		raw, err := event.Schemas.ReadFile("schemas/" + typ + ".json")
		require.NoError(t, err)
		var s schema
		require.NoError(t, json.Unmarshal(raw, &s))
		schemas[typ] = s
		what, _, _ := strings.Cut(s.Description, "; from ")
		b.WriteString("| [`" + typ + "`](#" + anchor(typ) + ") | " + sentence(strings.TrimSuffix(what, ".")) + " | " +
			steps(typ, func(s functions.Step) []string { return s.Emits }) + " | " + steps(typ, func(s functions.Step) []string { return s.Takes }) + " |\n")
	}
	// What all events of sweeps have is the header, which stands once.
	header := schemas[event.SweepRequested]
	b.WriteString("\n## What the data of every `sweep` event and of `job.notified` has\n\n" + members(t, header, nil))
	for _, typ := range event.Types() {
		if typ == event.SweepRequested {
			continue
		}
		b.WriteString("\n## " + typ + "\n\n")
		b.WriteString(members(t, schemas[typ], header.Properties))
	}
	return strings.Replace(b.String(), "(#"+anchor(event.SweepRequested)+")", "(#what-the-data-of-every-sweep-event-and-of-jobnotified-has)", 1)
}

// anchor is GitHub's of a heading.
func anchor(heading string) string { return strings.ReplaceAll(heading, ".", "") }

func steps(typ string, of func(functions.Step) []string) string {
	var names []string
	for _, s := range functions.Pipeline {
		if slices.Contains(of(s), typ) {
			names = append(names, s.Name)
		}
	}
	return strings.Join(names, ", ")
}

// members is the table of a schema's members that are not among others.
func members(t *testing.T, s schema, others map[string]schema) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| member | type | | |\n|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		if _, there := others[name]; there {
			continue
		}
		require.NotEmpty(t, meanings[name], "what is %s?", name)
		need := ""
		if slices.Contains(s.Required, name) {
			need = "required"
		}
		b.WriteString("| `" + name + "` | " + kind(s.Properties[name]) + " | " + need + " | " + meanings[name] + " |\n")
	}
	return b.String()
}

func kind(s schema) string {
	switch {
	case s.Const != nil:
		return "`" + asJSON(s.Const) + "`"
	case len(s.Enum) > 0:
		var all []string
		for _, v := range s.Enum {
			all = append(all, "`"+asJSON(v)+"`")
		}
		return strings.Join(all, ", ")
	case s.Format != "":
		return s.Format
	case s.Items != nil:
		return "list of " + kind(*s.Items)
	default:
		typ, _ := s.Type.(string)
		return typ
	}
}

func asJSON(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	raw, _ := json.Marshal(v)
	return string(raw)
}
