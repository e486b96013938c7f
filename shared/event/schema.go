package event

import "embed"

// Schemas holds the JSON Schema (draft 2020-12) of each event type's data, in
// the file schemas/{type}.json.
//
//go:embed schemas/*.json
var Schemas embed.FS

// SchemaURN is the dataschema of an event type: the $id of its JSON Schema.
func SchemaURN(typ string) string { return "urn:sweepline:schema:" + typ }

// Types lists every event type of the pipeline, in the order of a job's life.
func Types() []string {
	return []string{SweepRequested, SweepAdmitted, SweepSubmitted, SweepCompleted, SweepCollected, SweepFailed, JobCompleted, JobFailed, JobNotified}
}
