package dispatch

import (
	"context"
	"encoding/base64"
	"net/http"
	"time"

	attr "go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/zixly/sweepline/shared/broker/cloudevent"
	"github.com/zixly/sweepline/shared/broker/stream"
)

const (
	// absentDelay is the first wait for a subscriber that is not there, unless the
	// Trigger's backoff is longer; it doubles up to absentMost.
	absentDelay = time.Second
	absentMost  = 5 * time.Minute
	// busy is what an attempt takes at least that has done part of its work before it
	// answered 503 with a Retry-After.
	busy = 10 * time.Second
	// sinkAttempts bounds attempts at a dead letter sink that answers; then the
	// event is kept among the dead letters all the same, with what the sink said.
	// With a backoff of up to five minutes they span days.
	sinkAttempts = 1000
)

// delivery is one entry on its way to the subscriber. It is owned by the goroutine
// that delivers it.
type delivery struct {
	part  *partition
	entry *stream.Entry
	state State
	// settled: its outcome is with the writer. The subscription's mu guards it.
	settled bool
}

// size is the bytes of the event's data, in which nearly all of it is.
func (d *delivery) size() int {
	if d.entry.Message == nil {
		return 0
	}
	return len(d.entry.Message.Data)
}

// message is the event as it is delivered: with the time at which it was stored first.
func (d *delivery) message() *cloudevent.Message {
	if at := stream.IDTime(d.entry.Origin); !at.IsZero() {
		return d.entry.Message.ArrivedAt(at)
	}
	return d.entry.Message
}

// batchLimit is how many events may go out with it, itself among them. One that has
// failed goes alone, and one that met nobody with half as many each time: it may be
// what its batch fails of, or what its subscriber dies of, and must cost only itself.
func (d *delivery) batchLimit(batch int) int {
	if d.state.Attempts > 0 {
		return 1
	}
	return max(batch>>min(d.state.Absent, 16), 1)
}

func sizeOf(batch []*delivery) int {
	n := 0
	for _, d := range batch {
		n += d.size()
	}
	return n
}

// attempt delivers a batch and settles how it ended for each of its events: acknowledged
// with its replies in one commit, scheduled for a retry, or dead. It runs in a goroutine
// of its own whenever a slot of the subscription is free, and owns the batch until every
// event is with the writer or requeued.
func (s *subscription) attempt(work context.Context, batch []*delivery) {
	c := s.conf.Load()
	live := make([]*delivery, 0, len(batch))
	for _, d := range batch {
		if d.state.Dead {
			s.deadLetter(work, c, d)
		} else {
			live = append(live, d)
		}
	}
	switch len(live) {
	case 0:
	case 1:
		s.attemptOne(work, c, live[0])
	default:
		s.attemptBatch(work, c, live)
	}
}

func (s *subscription) attemptOne(work context.Context, c *conf, d *delivery) {
	ctx, span := s.span(work, d, d.state.Attempts+1)
	start := time.Now()
	r := c.sender.deliver(ctx, c.sender.target, d.message())
	endSpan(span, r)
	s.conclude(work, c, d, r, time.Since(start))
}

// attemptBatch makes one attempt with several events. Where the subscriber refuses
// the batch as a whole for what is in it, each is tried alone.
func (s *subscription) attemptBatch(work context.Context, c *conf, batch []*delivery) {
	messages := make([]*cloudevent.Message, len(batch))
	spans := make([]trace.Span, len(batch))
	for i, d := range batch {
		messages[i] = d.message()
		_, spans[i] = s.span(work, d, d.state.Attempts+1, attr.Int("messaging.batch.message_count", len(batch)))
	}
	start := time.Now()
	results := c.sender.deliverBatch(work, messages)
	took := time.Since(start)
	refused := true
	for i, r := range results {
		endSpan(spans[i], r)
		refused = refused && !r.ok && !r.retryable && !r.own
	}
	for i, d := range batch {
		if refused {
			s.attemptOne(work, c, d)
		} else {
			s.conclude(work, c, d, results[i], took)
		}
	}
}

// conclude ends one attempt: acknowledged with its replies, scheduled for a retry
// or dead. Only what is written is acknowledged; should work end first, the entry
// goes back to whoever comes next.
func (s *subscription) conclude(work context.Context, c *conf, d *delivery, r result, took time.Duration) {
	switch {
	case !r.ok && work.Err() != nil:
		s.giveBack(d) // cut off, not refused
	case r.ok:
		s.delivered(work, c, d, r.replies)
	default:
		s.refused(work, c, d, r, took)
	}
}

func (s *subscription) delivered(work context.Context, c *conf, d *delivery, replies []*cloudevent.Message) {
	replies, ok := s.reply(work, c, d, replies)
	if !ok {
		s.giveBack(d)
		return
	}
	c.metrics.delivered.Inc()
	if ms, _, ok := stream.SplitID(d.entry.Origin); ok {
		after := max(time.Now().UnixMilli()-ms, 0)
		c.metrics.latency.Observe(float64(after) / 1000)
		s.d.rates.delivered(s.name, time.Duration(after)*time.Millisecond)
	}
	s.settle(d, stream.Settlement{Outcome: stream.Delivered, Replies: replies})
}

// refused counts an attempt, or the time that nobody was there.
func (s *subscription) refused(work context.Context, c *conf, d *delivery, r result, took time.Duration) {
	st := &d.state
	s.d.rates.failed(s.name)
	st.Code, st.Data, st.Dest = r.code, []byte(stream.Clip(r.data, errorDataBytes)), WithoutCredentials(c.trigger.Subscriber)
	if st.First == 0 {
		st.First = time.Now().UnixMilli()
	}
	if r.absent && c.trigger.Absence > 0 {
		st.AbsentMs += took.Milliseconds()
		if left := c.trigger.Absence - st.absentFor(); left > 0 {
			st.Absent++
			unit := Delivery{BackoffDelay: max(absentDelay, c.trigger.Delivery.BackoffDelay)}
			wait := max(retryDelay(unit, st.Absent, absentMost, s.d.cfg.BackoffJitter), s.asked(c, r))
			if took > busy && r.retryAfter > 0 {
				wait = max(s.asked(c, r), absentDelay) // it is at work, and says when it goes on
			}
			wait = min(wait, left)
			st.AbsentMs += wait.Milliseconds()
			s.later(d, wait)
			return
		}
		if !r.answered { // it died of age: whoever is told shall not take it for refused
			st.Code = http.StatusServiceUnavailable
		}
	} else {
		st.Absent, st.AbsentMs = 0, 0
		st.Attempts++
		if r.retryable && st.Attempts <= c.trigger.Delivery.Retry {
			wait := retryDelay(c.trigger.Delivery, st.Attempts, s.d.cfg.BackoffMax, s.d.cfg.BackoffJitter)
			s.later(d, max(wait, s.asked(c, r)))
			return
		}
	}
	st.Dead = true
	s.deadLetter(work, c, d)
}

// asked is the wait that the subscriber asked for, as far as the Trigger honours it.
func (s *subscription) asked(c *conf, r result) time.Duration {
	d := c.trigger.Delivery
	if r.retryAfter <= 0 || d.IgnoreRetryAfter {
		return 0
	}
	most := d.RetryAfterMax
	if most <= 0 {
		most = s.d.cfg.RetryAfterMax
	}
	return min(r.retryAfter, most)
}

// reply prepares what the subscriber answered, to be stored with the
// acknowledgement; what belongs to another partition is stored now. The TTL goes on
// from the original's; at its end the reply is dropped, loudly: that is what stops a
// loop. It returns false where work has ended first.
func (s *subscription) reply(work context.Context, c *conf, d *delivery, replies []*cloudevent.Message) ([]*cloudevent.Message, bool) {
	if len(replies) == 0 {
		return nil, true
	}
	original := d.entry.Message
	ttl := original.TTL - 1
	if ttl <= 0 {
		c.metrics.looped.Add(float64(len(replies)))
		s.d.log.ErrorContext(work, "reply dropped: TTL exhausted",
			"trigger", c.trigger.String(), "event_type", replies[0].Get("type"))
		return nil, true
	}
	var here []*cloudevent.Message
	for _, r := range replies {
		r.TTL = ttl
		if r.Traceparent == "" && !r.Has("traceparent") {
			r.Traceparent, r.Tracestate = original.Traceparent, original.Tracestate
		}
		part := s.d.parts[r.Partition(s.d.cfg.Partitions)]
		if part == d.part {
			here = append(here, r)
			continue
		}
		wait := newBackoff(50*time.Millisecond, 2*time.Second)
		for {
			_, err := part.writer.Publish(work, true, r)
			if err == nil {
				break
			}
			s.d.log.WarnContext(work, "redis write failed, retrying", "write", "reply", "trigger", c.trigger.String(), "error", err)
			if !wait.sleep(work) {
				return nil, false
			}
		}
	}
	return here, true
}

// later moves the entry to the retry set.
func (s *subscription) later(d *delivery, wait time.Duration) { s.postpone(d, wait, d.state.Encode()) }

func (s *subscription) postpone(d *delivery, wait time.Duration, state []byte) {
	part := d.part
	s.settle(d, stream.Settlement{
		Outcome: stream.RetryLater, Delay: wait, State: state,
		Done: func(ours bool) {
			if ours {
				part.retrier.expect(wait)
			}
		},
	})
}

func (s *subscription) giveBack(d *delivery) {
	s.settle(d, stream.Settlement{Outcome: stream.Requeued})
}

// deadLetter hands a dead event to the dead letter sink, if there is one, and keeps it
// among the Trigger's dead letters. A sink that is not there is waited for; one that
// refuses the event for good is not asked again.
func (s *subscription) deadLetter(work context.Context, c *conf, d *delivery) {
	st := &d.state
	st.Origin = d.entry.Origin
	var replies []*cloudevent.Message
	if c.sender.sink != nil {
		ctx, span := s.span(work, d, st.Sink+1, attr.Bool("broker.dead_letter", true))
		r := c.sender.deliver(ctx, c.sender.sink, withError(d))
		endSpan(span, r)
		if !r.ok && work.Err() != nil {
			s.giveBack(d)
			return
		}
		if r.ok {
			var ok bool
			if replies, ok = s.reply(work, c, d, r.replies); !ok {
				s.giveBack(d)
				return
			}
			st.Taken = true
		} else {
			st.Sink++
			st.SinkCode, st.SinkData = r.code, []byte(stream.Clip(r.data, errorDataBytes))
			s.d.log.WarnContext(within(work, d.entry.Message), "dead letter sink refused an event",
				"trigger", c.trigger.String(), "entry_id", d.entry.ID, "status", r.code, "attempt", st.Sink)
			if r.retryable && (!r.answered || st.Sink < sinkAttempts) {
				unit := Delivery{BackoffDelay: s.d.cfg.SinkBackoff}
				s.later(d, max(retryDelay(unit, st.Sink, s.d.cfg.BackoffMax, false), s.asked(c, r)))
				return
			}
		}
	}
	s.settle(d, stream.Settlement{
		Outcome: stream.Dead, Replies: replies, State: st.Encode(),
		Done: func(ours bool) {
			if !ours {
				return
			}
			c.metrics.dead.Inc()
			s.d.rates.deadLettered(s.name)
			if st.Taken {
				c.metrics.sunk.Inc()
			} else {
				c.metrics.listed.Inc()
			}
			s.d.log.WarnContext(within(work, d.entry.Message), "event could not be delivered",
				"trigger", c.trigger.String(), "entry_id", d.entry.ID, "event_id", d.entry.Message.Get("id"),
				"status", st.Code, "attempts", st.Attempts, "sink", st.Taken)
		},
	})
}

// withError adds the error extensions to a copy of the entry's event.
// Rule: Knative Eventing, "Error signalling" of the delivery specification.
func withError(d *delivery) *cloudevent.Message {
	m := *d.message()
	m.SetText("knativeerrordest", WithoutCredentials(d.state.Dest))
	m.SetInt("knativeerrorcode", d.state.Code)
	m.SetText("knativeerrordata", base64.StdEncoding.EncodeToString(d.state.Data))
	return &m
}
