package supervise

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/zixly/sweepline/shared/wait"
)

// calls is the bounded worker pool for API calls. It is separate from all work that
// needs no API call, so that a hanging API blocks its own calls only.
type calls struct {
	slots chan struct{}
	freed chan struct{} // wakes the admit loop
	short *atomic.Bool  // the last grant was limited by the free slots of the pool
	busy  *sync.WaitGroup
}

func newCalls(n int) calls {
	return calls{slots: make(chan struct{}, n), freed: make(chan struct{}, 1), short: &atomic.Bool{}, busy: &sync.WaitGroup{}}
}

// free is how many calls may be started. Only the admit loop uses it.
func (c calls) free() int { return cap(c.slots) - len(c.slots) }

// start runs do in the pool. The caller has checked free.
func (c calls) start(do func()) {
	c.slots <- struct{}{}
	c.busy.Go(func() {
		defer func() {
			<-c.slots
			if c.short.Load() {
				c.signal()
			}
		}()
		do()
	})
}

// signal wakes the admit loop.
func (c calls) signal() {
	select {
	case c.freed <- struct{}{}:
	default:
	}
}

func (c calls) wait() { c.busy.Wait() }

// call makes the API call that a wait is due for.
func (f *Function) call(ctx context.Context, c wait.Call) {
	var err error
	switch {
	case c.Duplicate != "":
		err = f.drop(ctx, c)
	case c.Record.State == wait.Waiting:
		err = f.poll(ctx, c)
	case c.Record.State.Ended():
		err = f.cancel(ctx, c)
	}
	if err != nil && ctx.Err() == nil {
		// It comes up again when its lease ends.
		slog.WarnContext(ctx, "trading API call failed, retrying after its lease", "job_id", c.Record.Header.JobID, "state", string(c.Record.State), "error", err)
	}
}
