package dispatch

import (
	"context"
	"time"

	"github.com/zixly/sweepline/shared/broker/stream"
)

// uncertainRounds is for how many rounds a lost answer is looked for: what it may have
// claimed is told from a claim under way by its age.
const uncertainRounds = 4

// keepAlive is the heartbeat of this process in one partition, one goroutine each. Every
// third of Config.ClaimIdle it renews the heartbeat, so that a delivery may take as long
// as it does, takes over what processes without one had claimed, and looks for claims
// whose answer was lost; every sixth time it also goes on copying history and reads which
// Triggers are paused, and every twelfth time it writes what became of deliveries (in the
// first partition). Until first no process is taken for dead: where Redis was away,
// none could renew its heartbeat.
func (d *Dispatcher) keepAlive(ctx context.Context, p *partition, first time.Time) {
	if time.Now().After(first) {
		d.takeOver(ctx, p)
	}
	d.fillAll(ctx, p)
	left := 0
	for round := 1; sleep(ctx, d.cfg.ClaimIdle/3); round++ {
		alive, err := p.Beat(ctx, d.consumer)
		if err != nil {
			if ctx.Err() == nil {
				d.log.WarnContext(ctx, "redis write failed, retrying", "write", "heartbeat", "broker", d.broker.String(), "error", err)
			}
			first = time.Now().Add(d.cfg.ClaimIdle)
			continue
		}
		if !alive {
			first = time.Now().Add(d.cfg.ClaimIdle)
			d.dropLost(ctx, p)
		}
		if p.writer.TakeUncertain() {
			left = uncertainRounds
		}
		if left > 0 {
			left--
			d.findUnknown(ctx, p, d.cfg.ClaimIdle/2)
		}
		// Where our own heartbeat had run out the others' may have as well.
		if time.Now().After(first) {
			d.takeOver(ctx, p)
		}
		if round%12 == 0 && p == d.parts[0] {
			d.writeRates(ctx)
		}
		if round%6 == 0 {
			d.fillAll(ctx, p)
			d.refreshPaused(ctx)
		}
	}
}

// takeOver claims what dead processes have left, as far as there is room.
func (d *Dispatcher) takeOver(ctx context.Context, p *partition) {
	var wants []stream.Want
	for _, s := range d.subscriptions() {
		n := s.wantRetries(p)
		wants = append(wants, stream.Want{Trigger: s.name, Count: n, Owner: s})
	}
	if len(wants) == 0 {
		return
	}
	entries, more, err := p.Takeover(ctx, d.consumer, wants)
	by := make(map[string][]*stream.Entry)
	for _, e := range entries {
		by[e.Trigger] = append(by[e.Trigger], e)
	}
	for _, w := range wants {
		s, _ := w.Owner.(*subscription)
		got := by[w.Trigger]
		s.conf.Load().metrics.claimed.Add(float64(len(got)))
		s.claimed(p, w.Count, got, false, true)
	}
	if err == nil && len(more) > 0 && len(entries) > 0 {
		d.takeOver(ctx, p) // page by page, as long as there is room
	}
	if err != nil && ctx.Err() == nil {
		p.writer.MarkUncertain()
		d.log.WarnContext(ctx, "takeover failed", "broker", d.broker.String(), "error", err)
	}
}

// dropLost forgets what others may have taken over while this process did not show
// that it was alive: it stood still, or Redis was away.
func (d *Dispatcher) dropLost(ctx context.Context, p *partition) {
	d.log.WarnContext(ctx, "heartbeat expired, others may have taken over", "broker", d.broker.String())
	for _, s := range d.subscriptions() {
		before := s.waitingAt(p) // what is claimed while we look is not among the pending
		pending, err := p.Pending(ctx, s.name, d.consumer)
		if err != nil {
			d.log.WarnContext(ctx, "listing pending entries failed", "trigger", s.name, "error", err)
			continue
		}
		s.drop(before, pending)
	}
}

// findUnknown delivers what is pending under our name without our knowing: the
// answer to a claim was lost, or a predecessor of our name has died.
func (d *Dispatcher) findUnknown(ctx context.Context, p *partition, idle time.Duration) {
	for _, s := range d.subscriptions() {
		entries, err := p.Unknown(ctx, s.name, d.consumer, idle, s.holds(p))
		if len(entries) > 0 {
			s.conf.Load().metrics.claimed.Add(float64(len(entries)))
			s.claimed(p, 0, entries, false, true)
		}
		if err != nil && ctx.Err() == nil {
			d.log.WarnContext(ctx, "listing pending entries failed", "trigger", s.name, "error", err)
		}
	}
}
