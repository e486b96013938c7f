package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
)

var (
	//go:embed lua/admit.lua
	admitText   string
	admitScript = redis.NewScript(admitText)
	//go:embed lua/release.lua
	releaseText   string
	releaseScript = redis.NewScript(releaseText)
)

var (
	errOutdated = errors.New("another pod serves a newer contract")
	errBusy     = errors.New("another pod is taking up a contract")
)

// guard keeps a process that starts from an outdated mount from destroying the
// groups of Triggers it has not heard of: pods take up contracts one after the
// other, and never one that is older than what any of them has taken up.
type guard struct {
	rdb redis.UniversalClient
}

// leaseTime is how long a pod that died while applying holds up the others.
const leaseTime = 15 * time.Second

// newest calls apply if no newer contract of the broker, "namespace/name", is in
// force. The error wraps
// errOutdated or errBusy where it was not called.
func (g *guard) newest(ctx context.Context, broker string, generation int64, apply func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, leaseTime-time.Second)
	defer cancel()
	token := uuid.NewString()
	prefix := "sweepline:{contract/" + broker + "}:"
	keys := []string{prefix + "generation", prefix + "lock"}
	answer, err := admitScript.Run(ctx, g.rdb, keys, generation, token, leaseTime.Milliseconds()).Text()
	switch {
	case err != nil:
		return fmt.Errorf("ask for the contract in force: %w", err)
	case answer == "outdated":
		return errOutdated
	case answer == "busy":
		return errBusy
	}
	applied := apply(ctx)
	if err := releaseScript.Run(context.WithoutCancel(ctx), g.rdb, keys[1:], token).Err(); err != nil {
		return errors.Join(applied, fmt.Errorf("release the contract: %w", err))
	}
	return applied
}

// purge removes all that Redis holds of a Broker. The data plane has stopped
// serving it in this process; each process purges, so that the last leaves
// nothing.
func purge(ctx context.Context, rdb redis.UniversalClient, name string) error {
	if strings.ContainsAny(name, `*?[]\{}`) {
		return fmt.Errorf("purge: %q is no broker", name)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, pattern := range []string{"sweepline:{" + name + "/*}:*", "sweepline:{contract/" + name + "}:*"} {
		unlink := func(ctx context.Context, node *redis.Client) error {
			scan := node.Scan(ctx, 0, pattern, 1000).Iterator()
			for scan.Next(ctx) {
				if err := rdb.Unlink(ctx, scan.Val()).Err(); err != nil {
					return err
				}
			}
			return scan.Err()
		}
		if err := eachNode(ctx, rdb, unlink); err != nil {
			return fmt.Errorf("purge %s: %w", name, err)
		}
	}
	if err := rdb.SRem(ctx, "sweepline:brokers", name).Err(); err != nil {
		return fmt.Errorf("purge %s: %w", name, err)
	}
	return nil
}

// eachNode does it on the one server, or on every primary of a Redis Cluster: a
// SCAN sees one node.
func eachNode(ctx context.Context, rdb redis.UniversalClient, do func(context.Context, *redis.Client) error) error {
	switch c := rdb.(type) {
	case *redis.ClusterClient:
		return c.ForEachMaster(ctx, do)
	case *redis.Client:
		return do(ctx, c)
	}
	return fmt.Errorf("%T is no client of connect.Redis", rdb)
}
