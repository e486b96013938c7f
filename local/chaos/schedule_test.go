//go:build linux

package main

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func someKinds() []kind {
	nothing := func(context.Context, string) error { return nil }
	return []kind{
		{name: "kill", targets: []string{"a", "b"}, group: self, longest: 4 * time.Second, inject: nothing, heal: nothing},
		{name: "freeze", targets: []string{"a", "b"}, group: self, shortest: 2 * time.Second, longest: 9 * time.Second, inject: nothing, heal: nothing},
		{name: "full", targets: []string{"redis"}, group: same("redis"), shortest: time.Second, longest: 9 * time.Second, inject: nothing, heal: nothing},
		{name: flushKind, targets: []string{"redis"}, group: same("redis"), forgets: true, inject: nothing, heal: nothing},
	}
}

func TestSeedReproducesSchedule(t *testing.T) {
	t.Parallel()
	show := func(seed uint64) (lines []string) {
		for _, f := range draw(seed, someKinds(), time.Minute, time.Second) {
			lines = append(lines, f.String())
		}
		return lines
	}
	first := show(7)
	require.Equal(t, first, show(7))
	require.NotEqual(t, show(7), show(8))
}

func TestScheduleKeepsFaultsOfOneGroupApart(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	for seed := range uint64(50) {
		until := map[string]time.Duration{}
		flushes := 0
		for _, f := range draw(seed, someKinds(), time.Minute, time.Second) {
			group := f.kind.group(f.Target)
			require.GreaterOrEqual(t, f.At, until[group], "seed %d: %s", seed, f)
			require.GreaterOrEqual(t, f.For, f.kind.shortest)
			require.LessOrEqual(t, f.For, f.kind.longest)
			until[group] = f.At + f.For
			seen[f.Kind]++
			if f.kind.forgets {
				flushes++
				require.Greater(t, f.At, 30*time.Second, "in the middle, when there are jobs in every state")
			}
		}
		require.LessOrEqual(t, flushes, 1)
	}
	require.Len(t, seen, 4)
}

// TestUnleashHeals: whatever was injected is healed, also when the run is
// interrupted and when the injection went wrong.
func TestUnleashHeals(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var hurt atomic.Int32
	k := kind{
		name: "hurt", inject: func(context.Context, string) error { hurt.Add(1); cancel(); return errors.New("half done") },
		heal: func(ctx context.Context, _ string) error { hurt.Add(-1); return ctx.Err() },
	}
	faults := []fault{{Kind: k.name, Target: "a", For: time.Hour, kind: k}, {Kind: k.name, Target: "b", At: time.Hour, kind: k}}
	episodes := unleash(ctx, faults, nil, slog.New(slog.DiscardHandler))
	require.Zero(t, hurt.Load())
	require.Len(t, episodes, 1, "the second one never began")
	require.Contains(t, episodes[0].Error, "half done")
}
