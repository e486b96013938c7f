// Package functions has the table of the pipeline's steps. Each step is a folder here and
// a main in cmd; they never import each other.
package functions

import (
	"iter"
	"strings"

	"github.com/zixly/sweepline/shared/event"
)

// Step is one function of the pipeline.
type Step struct {
	// Name is that of its folder, its main, its Knative Service and, where it takes
	// events, its Trigger.
	Name string
	// Does says it in a line.
	Does string
	// Paths are its public addresses; one that ends with a slash stands for all below. A
	// step without has none.
	Paths []string
	// Takes are the types of events that it is given, Emits those that it posts or answers
	// with.
	Takes, Emits []string
	// DeadLetters are the steps whose dead letters it is given.
	DeadLetters []string
}

// Pipeline lists the steps in the order of a job. Manifests, mains and the runner are
// tested against it. It has no constructors: a main that took one from here would hold all
// steps.
var Pipeline = []Step{
	{
		Name: "receive", Does: "accepts a sweep, answers 202",
		Paths: []string{"/webhook/trading-sweep"},
		Emits: []string{event.SweepRequested},
	},
	{
		Name: "submit", Does: "submits a sweep to the trading API once it has a slot, or queues it",
		Takes: []string{event.SweepRequested, event.SweepAdmitted},
		Emits: []string{event.SweepSubmitted, event.SweepFailed},
	},
	{
		Name: "callback", Does: "takes the trading API's word that a sweep has ended",
		Paths: []string{"/webhook/sweep-callback"},
		Emits: []string{event.SweepCompleted, event.SweepFailed, event.SweepAdmitted},
	},
	{
		Name: "supervise", Does: "admits queued jobs, polls for lost callbacks, keeps deadlines, reconciles, ends jobs of dead letters, counts",
		Takes:       []string{event.SweepRequested, event.JobCompleted, event.JobFailed},
		Emits:       []string{event.SweepRequested, event.SweepAdmitted, event.SweepCompleted, event.SweepFailed, event.JobCompleted, event.JobFailed},
		DeadLetters: []string{"submit", "collect", "store"},
	},
	{
		Name: "collect", Does: "fetches a sweep's rows page by page and stores them",
		Takes: []string{event.SweepCompleted},
		Emits: []string{event.SweepCollected, event.SweepFailed},
	},
	{
		Name: "store", Does: "writes jobs and their timelines",
		Takes: []string{event.SweepRequested, event.SweepAdmitted, event.SweepSubmitted, event.SweepCompleted, event.SweepCollected, event.SweepFailed, event.JobNotified},
		Emits: []string{event.JobCompleted, event.JobFailed},
	},
	{
		Name: "notify", Does: "tells people by Slack and mail, and calls the addresses that requests name",
		Takes: []string{event.JobCompleted, event.JobFailed},
		Emits: []string{event.JobNotified},
	},
	{
		Name: "api", Does: "answers programs: jobs, results, streams, dead letters, the broker",
		Paths: []string{"/webhook/jobs/", "/api/", "/openapi.json", "/version"},
		Emits: []string{event.SweepRequested},
	},
	{
		Name: "dashboard", Does: "shows people the same",
		Paths: []string{"/"},
		Emits: []string{event.SweepRequested},
	},
}

// Names are the steps' names in the order of the table.
func Names() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, s := range Pipeline {
			if !yield(s.Name) {
				return
			}
		}
	}
}

// Owner is the step that answers a public address: the one with the longest of the paths
// that it is at or below.
func Owner(path string) string {
	owner, longest := "", 0
	for _, s := range Pipeline {
		for _, p := range s.Paths {
			at := path == p || path+"/" == p || strings.HasSuffix(p, "/") && strings.HasPrefix(path, p)
			if at && len(p) > longest {
				owner, longest = s.Name, len(p)
			}
		}
	}
	return owner
}
