package wait_test

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/uuid"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/wait"
)

// A job from its admission to its end: the wait is registered before the sweep is submitted,
// and the first end wins.
func Example() {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	m := miniredis.NewMiniRedis()
	must(m.Start())
	defer m.Close()
	ctx := context.Background()
	waits, err := wait.Open(ctx, wait.Config{RedisURL: "redis://" + m.Addr(), MaxConcurrent: 1})
	must(err)
	defer waits.Close()

	h := job.Header{JobID: job.NewID(), TenantID: job.DefaultTenant, JobType: job.Type, CreatedAt: time.Now()}
	accepted, err := waits.Accept(ctx, h, "fingerprint of the request")
	must(err)
	fmt.Println("known before:", accepted.Replayed)

	entry, err := waits.Enter(ctx, h)
	must(err)
	fmt.Println("may submit:", entry.Decision == wait.SubmitNow)
	sweep := uuid.NewString() // what the trading API answers with
	_, _, err = waits.Note(ctx, h.JobID, sweep, 10*time.Minute, time.Minute)
	must(err)

	for _, via := range []event.Via{event.ViaCallback, event.ViaPoll} {
		r, err := waits.Resolve(ctx, h.JobID, wait.End{RunID: "run-1", TradingJobID: sweep, Via: via})
		must(err)
		fmt.Printf("end by %s won: %v\n", via, r.Won)
	}
	// Output:
	// known before: false
	// may submit: true
	// end by callback won: true
	// end by poll won: false
}
