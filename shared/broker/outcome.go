package broker

import (
	"context"
	"encoding/base64"
	"errors"
	"strconv"
	"time"

	attr "go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// process makes one attempt with an entry and writes down how it ended: settled,
// postponed or buried. Only what is written is acknowledged; should work end
// first, the entry stays pending (or leased) for whoever comes next.
func (l *lane) process(work context.Context, e *entry) {
	if e.state.Died > 0 {
		l.bury(work, e)
		return
	}
	ctx, span := l.span(work, e, e.state.Attempts+1)
	res := l.sub.courier.deliver(ctx, l.sub.courier.target, e.msg)
	endSpan(span, res)
	l.conclude(work, e, res)
}

// processBatch makes one attempt with all entries at once. Where the subscriber
// refuses the batch for what is in it, each is tried alone; where it is out of
// order, the attempt counts for each.
func (l *lane) processBatch(work context.Context, batch []*entry) {
	messages := make([]*message, len(batch))
	for i, e := range batch {
		messages[i] = e.msg
	}
	spans := make([]trace.Span, len(batch))
	for i, e := range batch {
		_, spans[i] = l.span(work, e, e.state.Attempts+1, attr.Int("messaging.batch.message_count", len(batch)))
	}
	res := l.sub.courier.deliverBatch(work, messages)
	for _, span := range spans {
		endSpan(span, res)
	}
	if !res.ok && !res.retryable {
		for _, e := range batch {
			l.process(work, e)
		}
		return
	}
	if res.ok && len(res.replies) > 0 {
		if err := l.reply(work, batch[0], res.replies); err != nil {
			res = replyFailed(res, err)
		}
		res.replies = nil
	}
	for _, e := range batch {
		l.conclude(work, e, res)
	}
}

func (l *lane) conclude(work context.Context, e *entry, res result) {
	if !res.ok && work.Err() != nil {
		return // cut off, not refused
	}
	if res.ok && len(res.replies) > 0 {
		if err := l.reply(work, e, res.replies); err != nil {
			res = replyFailed(res, err)
		}
	}
	if res.ok {
		l.sub.metrics.delivered.Inc()
		if ms, _, ok := splitID(e.id); ok {
			l.sub.metrics.latency.Observe(float64(max(time.Now().UnixMilli()-ms, 0)) / 1000)
		}
		l.settle(e)
		return
	}
	now := l.srv.cfg.now()
	s := &e.state
	s.Attempts++
	s.Code, s.Data, s.Dest = res.code, []byte(clip(res.data, errorDataBytes)), l.sub.trigger.Subscriber
	if s.First == 0 {
		s.First = now.UnixMilli()
	}
	if res.retryable && s.Attempts <= l.sub.trigger.Delivery.Retry {
		l.postpone(work, e, now.Add(l.wait(s.Attempts, res.retryAfter)))
		return
	}
	s.Died = now.UnixMilli()
	l.bury(work, e)
}

func replyFailed(res result, err error) result {
	return result{code: res.code, data: clip("store reply: "+err.Error(), errorDataBytes), retryable: true}
}

// wait is the delay before retry n, or longer if the subscriber asked for it.
func (l *lane) wait(n int, retryAfter time.Duration) time.Duration {
	d, cfg := l.sub.trigger.Delivery, &l.srv.cfg
	wait := retryDelay(d, n, cfg.BackoffMax, cfg.BackoffJitter)
	if retryAfter > 0 && !d.IgnoreRetryAfter {
		most := d.RetryAfterMax
		if most <= 0 {
			most = cfg.RetryAfterMax
		}
		wait = max(wait, min(retryAfter, most))
	}
	return wait
}

// reply appends what the subscriber answered, before the original is settled.
// The TTL goes on from the original's; at its end the reply is dropped, loudly:
// that is what stops a loop.
func (l *lane) reply(work context.Context, e *entry, replies []*message) error {
	ttl := e.msg.ttl - 1
	if ttl <= 0 {
		l.srv.log.ErrorContext(work, "Reply is dropped: the events go round in a circle",
			"trigger", l.sub.trigger.key().String(), "event_type", replies[0].get("type"))
		k := l.sub.trigger.key()
		l.srv.metrics.received.WithLabelValues(k.namespace, k.broker, "looped").Add(float64(len(replies)))
		return nil
	}
	for _, r := range replies {
		r.ttl = ttl
		if r.traceparent == "" && !r.has("traceparent") {
			r.traceparent, r.tracestate = e.msg.traceparent, e.msg.tracestate
		}
	}
	m := l.srv.mesh(l.sub.trigger.broker())
	if m == nil {
		return errClosed
	}
	// A short trouble of Redis shall not cost the subscriber another delivery.
	wait := newBackoff(50*time.Millisecond, time.Second)
	for try := 1; ; try++ {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(work), 3*l.srv.cfg.RedisTimeout)
		err := m.append(ctx, replies)
		cancel()
		if err == nil || try == 4 || errors.Is(err, errClosed) || !wait.sleep(work) {
			return err
		}
	}
}

// settle acknowledges, or takes a delivered retry out of the retry set.
func (l *lane) settle(e *entry) {
	l.acks.done(e.id, e.leased)
	l.finished(e)
}

// finished lets the next event of an ordered key go.
func (l *lane) finished(e *entry) {
	if l.chains != nil {
		l.chains.advance(e)
	}
}

// postpone moves the entry to the retry set. It repeats until Redis has taken
// it: the entry stays claimed meanwhile.
func (l *lane) postpone(work context.Context, e *entry, due time.Time) {
	t := l.sub.trigger.Name
	owner := ""
	if e.leased {
		owner = l.srv.consumer
	}
	ok := l.persist(work, "postpone", func(ctx context.Context) error {
		return postponeScript.Run(ctx, l.srv.rdb,
			[]string{l.part.stream(), l.part.due(t), l.part.retries(t)},
			t, e.id, due.UnixMilli(), e.state.encode(), e.payload, owner).Err()
	})
	if !ok {
		return
	}
	l.held.remove(e.id)
	select {
	case l.wakeRetries <- struct{}{}:
	default:
	}
}

// bury hands a dead event to the dead letter sink, if there is one, and keeps it
// among the Trigger's dead letters. Until the sink has taken it the event goes
// on in the retry set, for ever.
func (l *lane) bury(work context.Context, e *entry) {
	sink := l.sub.courier.sink
	if sink != nil {
		ctx, span := l.span(work, e, e.state.Sink+1, attr.Bool("broker.dead_letter", true))
		res := l.sub.courier.deliver(ctx, sink, withError(e))
		endSpan(span, res)
		if !res.ok && work.Err() != nil {
			return
		}
		if res.ok && len(res.replies) > 0 {
			if err := l.reply(work, e, res.replies); err != nil {
				res = replyFailed(res, err)
			}
		}
		if !res.ok {
			e.state.Sink++
			e.state.SinkCode, e.state.SinkData = res.code, []byte(clip(res.data, errorDataBytes))
			l.srv.log.WarnContext(within(work, e.msg), "Dead letter sink did not take an event",
				"trigger", l.sub.trigger.key().String(), "entry_id", e.id, "status", res.code, "attempt", e.state.Sink)
			cfg := &l.srv.cfg
			d := Delivery{BackoffDelay: cfg.SinkBackoff}
			l.postpone(work, e, cfg.now().Add(retryDelay(d, e.state.Sink, cfg.BackoffMax, false)))
			return
		}
	}
	t := l.sub.trigger.Name
	record := deadRecord{retryState: e.state, Taken: sink != nil}
	ok := l.persist(work, "bury", func(ctx context.Context) error {
		return buryScript.Run(ctx, l.srv.rdb,
			[]string{l.part.stream(), l.part.due(t), l.part.retries(t), l.part.buried(t), l.part.dead(t)},
			t, e.id, e.state.Died, record.encode(), e.payload).Err()
	})
	if !ok {
		return
	}
	l.held.remove(e.id)
	l.sub.metrics.buried.Inc()
	k := l.sub.trigger.key()
	l.srv.metrics.dead.WithLabelValues(k.namespace, k.broker, k.name, strconv.FormatBool(sink != nil)).Inc()
	l.srv.log.WarnContext(within(work, e.msg), "Event could not be delivered",
		"trigger", k.String(), "entry_id", e.id, "event_id", e.msg.get("id"), "status", e.state.Code,
		"attempts", e.state.Attempts, "sink", sink != nil)
	l.finished(e)
}

// withError adds the error extensions to a copy of the entry's event.
// Rule: Knative Eventing, "Error signalling" of the delivery specification.
func withError(e *entry) *message {
	m := *e.msg
	m.set("knativeerrordest", kindText, e.state.Dest)
	m.set("knativeerrorcode", kindInt, strconv.Itoa(e.state.Code))
	m.set("knativeerrordata", kindText, base64.StdEncoding.EncodeToString(e.state.Data))
	return &m
}

// persist repeats a write until Redis has taken it, or reports false when work
// ends. What Redis refuses for good (a wrong type under the key) repeats too:
// the entry may not be lost, and the log says what to mend.
func (l *lane) persist(work context.Context, what string, write func(context.Context) error) bool {
	wait := newBackoff(50*time.Millisecond, 2*time.Second)
	for {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(work), 2*l.srv.cfg.RedisTimeout)
		err := write(ctx)
		cancel()
		if err == nil {
			return true
		}
		l.srv.log.WarnContext(work, "Redis does not take a write, which is repeated",
			"write", what, "trigger", l.sub.trigger.key().String(), "error", err)
		if !wait.sleep(work) {
			return false
		}
	}
}

// splitID reads a stream id.
func splitID(id string) (ms int64, seq uint64, ok bool) {
	var after string
	for i := range len(id) {
		if id[i] == '-' {
			id, after, ok = id[:i], id[i+1:], true
			break
		}
	}
	if !ok {
		return 0, 0, false
	}
	ms, err := strconv.ParseInt(id, 10, 64)
	if err != nil || ms < 0 {
		return 0, 0, false
	}
	seq, err = strconv.ParseUint(after, 10, 64)
	return ms, seq, err == nil
}
