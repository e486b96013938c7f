package event_test

import (
	"fmt"
	"time"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
)

// Events have ids that follow from what they say: a step that runs twice sends the same
// event, which the broker stores once.
func Example() {
	h := job.Header{JobID: "0190f2a6-5e0b-7c3a-9d51-3f6f6d0f8a11", TenantID: "acme", JobType: job.Type}
	d := event.Completed{Header: h, SweepRunID: "run-1", CompletedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Via: event.ViaPoll}
	e, err := event.NewCompleted(d)
	if err != nil {
		panic(err)
	}
	again, err := event.NewCompleted(d)
	if err != nil {
		panic(err)
	}
	fmt.Println(e.Type(), e.Subject() == h.JobID, e.ID() == again.ID())

	read, err := event.Data[event.Completed](e)
	if err != nil {
		panic(err)
	}
	fmt.Println(read.TenantID, read.SweepRunID, read.Via)
	// Output:
	// com.zixly.sweep.completed.v1 true true
	// acme run-1 poll
}
