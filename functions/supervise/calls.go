package supervise

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/zixly/sweepline/shared/trading"
	"github.com/zixly/sweepline/shared/wait"
)

// calls is the pool in which the API is called: bounded, and apart from all that
// needs no API, so that one that hangs holds up its own calls only.
type calls struct {
	slots chan struct{}
	freed chan struct{} // signals the loop that deals
	short *atomic.Bool  // the last deal was short of room
	busy  *sync.WaitGroup
}

func newCalls(n int) calls {
	return calls{slots: make(chan struct{}, n), freed: make(chan struct{}, 1), short: &atomic.Bool{}, busy: &sync.WaitGroup{}}
}

// free is how many calls may be started. Only the one loop that deals asks.
func (c calls) free() int { return cap(c.slots) - len(c.slots) }

// start runs do; free has said that it may.
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

// signal has the loop deal that has nothing to wait for otherwise.
func (c calls) signal() {
	select {
	case c.freed <- struct{}{}:
	default:
	}
}

func (c calls) wait() { c.busy.Wait() }

// call does what a wait is due for at the API.
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
		slog.WarnContext(ctx, "Call not made good", "job_id", c.Record.Header.JobID, "state", string(c.Record.State), "error", err)
	}
}

// paid marks a call as the one that was dealt, or as one to be waited for.
func paid(ctx context.Context, c *wait.Call) context.Context {
	if c.Calls.Spend() {
		return trading.Paid(ctx)
	}
	return ctx
}
