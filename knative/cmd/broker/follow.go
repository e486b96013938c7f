package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/zixly/sweepline/knative/contract"
	"github.com/zixly/sweepline/shared/broker"
)

// lookEvery is how often the mount is looked at: it changes without notice.
const lookEvery = 500 * time.Millisecond

// follow takes up the contract, and each that comes after it, until ctx ends.
// What cannot be taken up is tried again; what was, stays in force meanwhile.
func (p *plane) follow(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	said := ""
	for {
		err := p.take(ctx)
		p.problem.Store(&err)
		switch {
		case err == nil:
			said = ""
		case ctx.Err() != nil:
			return
		case plainly(err) != said: // an outage is told once
			said = plainly(err)
			p.log.WarnContext(ctx, "applying contract failed, retrying", "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// take serves the mounted contract unless it does already.
func (p *plane) take(ctx context.Context) error {
	fsys, err := mounted(p.cfg.Contract)
	if err != nil {
		return err
	}
	if g, err := contract.Generation(fsys); err != nil || g == p.generation.Load() {
		return err
	}
	c, err := contract.Read(fsys)
	if err != nil {
		return err
	}
	if p.generation.Load() == 0 {
		if err := p.server.Check(ctx); err != nil {
			return redisError{fmt.Errorf("check redis: %w", err)}
		}
	}
	if err := p.provable(c.Set.Triggers); err != nil {
		return err
	}
	// A door is closed before there is something behind it, and opened after.
	if c.Access != nil {
		if err := p.guard.Set(c.Access); err != nil {
			return fmt.Errorf("read contract: %w", err)
		}
	}
	if err := p.server.Apply(ctx, c.Set); err != nil {
		return err
	}
	if c.Access == nil {
		if err := p.guard.Set(nil); err != nil {
			return err
		}
	}
	// What is not in a contract was deleted: a Trigger of the same name is another one.
	if err := p.server.RemoveGone(ctx); err != nil {
		return err
	}
	if c.Purge != "" {
		if err := p.purge(ctx, c.Purge); err != nil {
			return err
		}
	}
	for _, t := range c.Set.Invalid { // what a newer controller has written
		p.log.ErrorContext(ctx, "invalid trigger, its events wait", "trigger", t.Namespace+"/"+t.Name, "problem", t.Problem)
	}
	if p.generation.Swap(c.Generation) == 0 {
		close(p.serving)
	}
	p.log.InfoContext(ctx, "contract applied", "generation", c.Generation,
		"brokers", len(c.Set.Brokers), "triggers", len(c.Set.Triggers), "purge", c.Purge != "")
	return nil
}

// provable reports whether this process can deliver as each Trigger is to: one whose
// tokens are not mounted yet is not served, so that nothing is refused for the lack of them.
func (p *plane) provable(triggers []broker.Trigger) error {
	if p.cfg.Role != Dispatcher {
		return nil
	}
	for _, t := range triggers {
		if err := errors.Join(p.tokens.Has(t.Identity, t.Audience), p.tokens.Has(t.Identity, t.Delivery.DeadLetterSinkAudience)); err != nil {
			return fmt.Errorf("trigger %s: %w", t, err)
		}
	}
	return nil
}

// redisError is a failure of Redis, as opposed to one of the contract.
type redisError struct{ error }

func (e redisError) Unwrap() error { return e.error }

// plainly is an error as a status shows it: the same for the same cause, so without the
// port that a connection had on this side.
func plainly(err error) string {
	const most = 256
	text := err.Error()
	var op *net.OpError
	if errors.As(err, &op) && op.Addr != nil {
		text = fmt.Sprintf("%s %s: %v", op.Op, op.Addr, op.Err)
	}
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// purge removes all that Redis holds of a Broker, "namespace/name".
func (p *plane) purge(ctx context.Context, broker string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	namespace, name, _ := strings.Cut(broker, "/")
	return p.inspector.Purge(ctx, namespace, name)
}

// mounted gives the files of one state of a mounted ConfigMap: kubelet switches
// the link ..data to a new folder, so that no two files are of different states.
func mounted(dir string) (fs.FS, error) {
	switch target, err := filepath.EvalSymlinks(filepath.Join(dir, "..data")); {
	case err == nil:
		return os.DirFS(target), nil
	case errors.Is(err, fs.ErrNotExist):
		return os.DirFS(dir), nil
	default:
		return nil, fmt.Errorf("find contract: %w", err)
	}
}
