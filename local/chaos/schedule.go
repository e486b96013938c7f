//go:build linux

package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// fault is one entry of a schedule; times are relative to its begin.
type fault struct {
	At, For      time.Duration
	Kind, Target string
	kind         kind
}

func (f fault) String() string {
	return fmt.Sprintf("+%5.1fs  %-18s %-24s for %.1fs", f.At.Seconds(), f.Kind, f.Target, f.For.Seconds())
}

// episode is a fault as it really took place.
type episode struct {
	Kind, Target string
	From, To     time.Time
	Error        string `json:",omitempty"`
	kind         kind
}

// draw makes the schedule of a seed. Every kind has its turn before any comes
// again, so that even a short run sees many; two faults of one group do not
// overlap. A flush comes once, in the middle.
func draw(seed uint64, kinds []kind, window, gap time.Duration) []fault {
	rng := rand.New(rand.NewPCG(seed, 2))
	var faults []fault
	busy := map[string]time.Duration{} // until when, by group
	add := func(k kind, at time.Duration) bool {
		target := k.targets[rng.IntN(len(k.targets))]
		lasts := k.shortest + time.Duration(rng.Float64()*float64(k.longest-k.shortest))
		group := k.group(target)
		if busy[group] > at {
			return false
		}
		busy[group] = at + lasts + time.Second
		faults = append(faults, fault{At: at.Round(time.Millisecond), For: lasts.Round(time.Millisecond), Kind: k.name, Target: target, kind: k})
		return true
	}
	var deck []kind
	flushed := false
	for at := 2 * time.Second; at < window && len(kinds) > 0; at += time.Duration(rng.ExpFloat64() * float64(gap)) {
		if i := slices.IndexFunc(kinds, func(k kind) bool { return k.forgets }); i >= 0 && !flushed && at > window/2 {
			flushed = add(kinds[i], at)
			continue
		}
		// Tries until something is free: a crowded moment stays as it is.
		for range len(kinds) {
			if len(deck) == 0 {
				deck = slices.Clone(kinds)
				rng.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
			}
			k := deck[0]
			deck = deck[1:]
			if !k.forgets && add(k, at) {
				break
			}
		}
	}
	return faults
}

// unleash runs a schedule and returns when every fault has been healed: at its
// time, or at once when ctx ends. before, if set, is called with each fault.
func unleash(ctx context.Context, faults []fault, before func(context.Context, fault), log *slog.Logger) []episode {
	episodes := make([]episode, len(faults))
	begin := time.Now()
	var wg sync.WaitGroup
	for i, f := range faults {
		wg.Go(func() {
			if !pause(ctx, time.Until(begin.Add(f.At))) {
				return
			}
			log.InfoContext(ctx, "fault begins", "kind", f.Kind, "target", f.Target, "for", f.For.String())
			if before != nil {
				before(ctx, f)
			}
			e := episode{Kind: f.Kind, Target: f.Target, From: time.Now(), kind: f.kind}
			if err := limited(ctx, f.Target, f.kind.inject); err != nil {
				e.Error = err.Error()
			}
			pause(ctx, f.For)
			// What refuses to heal now is healed by the world at the end.
			if err := limited(context.WithoutCancel(ctx), f.Target, f.kind.heal); err != nil {
				e.Error += " " + err.Error()
			}
			e.To = time.Now()
			if e.Error != "" {
				log.WarnContext(ctx, "fault injection failed", "kind", f.Kind, "target", f.Target, "error", e.Error)
			}
			episodes[i] = e
		})
	}
	wg.Wait()
	return slices.DeleteFunc(episodes, func(e episode) bool { return e.Kind == "" })
}

func limited(ctx context.Context, target string, do func(context.Context, string) error) error {
	ctx, cancel := context.WithTimeout(ctx, graceful+15*time.Second)
	defer cancel()
	return do(ctx, target)
}

// pause waits for d and reports whether ctx lasted that long.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
