package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/zixly/sweepline/shared/redisclient"
)

// commit stores a group. The writer's loop runs it, at most commitsInFlight at once; until
// it returns it owns the group. Publishers learn of a failure; settlements, which may
// not be lost, go back to the queue.
func (w *Writer) commit(group []*write) {
	for {
		again, err := w.try(group)
		if err != nil {
			w.failed(group, err)
			return
		}
		if len(again) == 0 {
			w.succeeded(group)
			return
		}
		group = again
	}
}

// succeeded ends the pause after a failure. Where only events were stored nothing is
// known of the settlements.
func (w *Writer) succeeded(group []*write) {
	settled := slices.ContainsFunc(group, func(wr *write) bool { return wr.settle != nil })
	w.mu.Lock()
	defer w.mu.Unlock()
	if settled || len(w.queue) == 0 {
		w.wait, w.resume = 0, time.Time{}
		w.most = min(2*w.most, groupWrites)
	}
}

func (w *Writer) failed(group []*write, err error) {
	var back []*write
	for _, wr := range group {
		if wr.settle != nil {
			back = append(back, wr)
			continue
		}
		wr.err = err
		close(wr.done)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.work.Err() != nil || len(back) == 0 && len(group) > 0 {
		return // at the end settlements stay claimed, for others to take over
	}
	w.wait = min(max(2*w.wait, 50*time.Millisecond), 2*time.Second)
	w.resume = time.Now().Add(w.wait)
	if redisclient.Refusal(err) { // for what one of them says; the next ones may be better
		w.most = max(min(w.most, len(back))/2, 1)
		w.queue = append(w.queue, back...)
	} else {
		w.queue = append(back, w.queue...)
	}
	w.log.Warn("redis write failed, retrying", "broker", w.p.Broker.String(), "settlements", len(back), "error", err)
	time.AfterFunc(w.wait, w.signal)
}

// try makes one commit. It returns what has to be tried again at once.
func (w *Writer) try(group []*write) (again []*write, err error) {
	ctx, cancel := w.p.store.call(context.Background())
	defer cancel()
	if err := w.journal(ctx, group); err != nil {
		return nil, err
	}
	hasEvents := false
	for _, wr := range group {
		hasEvents = hasEvents || len(wr.events) > 0
	}
	var table *routes
	for range reroutes {
		if hasEvents {
			if table, err = w.table(ctx); err != nil {
				return nil, err
			}
		}
		c := newCommit(w, group, table)
		answer, err := w.run(ctx, c.args)
		if err != nil {
			c.failed()
			return nil, fmt.Errorf("commit to %s: %w", w.p.Broker, err)
		}
		if len(answer) == 1 {
			c.unclaim()
			w.forget(table)
			continue
		}
		again, err := c.results(answer)
		if err != nil {
			return nil, err
		}
		if len(again) > 0 { // out of memory: history gives way first
			if err := w.p.shrink(ctx); err != nil {
				w.log.Warn("history not trimmed", "broker", w.p.Broker.String(), "error", err)
			}
		}
		return again, nil
	}
	return nil, errors.New("routes change too fast")
}

// journal hands new events to Config.Journal.
func (w *Writer) journal(ctx context.Context, group []*write) error {
	if w.p.store.cfg.Journal == nil {
		return nil
	}
	var events []event.Event
	for _, wr := range group {
		for _, e := range wr.events {
			events = append(events, e.msg.EventWithData())
		}
	}
	if len(events) == 0 {
		return nil
	}
	if err := w.p.store.cfg.Journal(ctx, events); err != nil {
		return fmt.Errorf("journal events: %w", err)
	}
	return nil
}
