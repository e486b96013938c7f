package dispatch

import "context"

// fillAll copies history into the queues of Triggers for which a replay or a start
// in the past asks for it. Several processes may: each page is copied once.
func (d *Dispatcher) fillAll(ctx context.Context, p *partition) {
	for _, name := range d.names() {
		d.fill(ctx, p, name)
	}
}

func (d *Dispatcher) fill(ctx context.Context, p *partition, trigger string) {
	s := d.subscription(trigger)
	if s == nil {
		return
	}
	filled := false
	for ctx.Err() == nil {
		more, did, err := p.Fill(ctx, trigger)
		if err != nil {
			d.log.WarnContext(ctx, "history not copied", "trigger", s.conf.Load().trigger.String(), "error", err)
			return
		}
		filled = filled || did
		if !more {
			break
		}
	}
	if filled {
		s.noteBacklog(p)
		p.writer.Kick()
	}
}

// noteBacklog notes that there may be entries to claim.
func (s *subscription) noteBacklog(p *partition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at[p].backlog = true
}
