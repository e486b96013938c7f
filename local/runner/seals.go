package runner

import (
	"context"
	"errors"
	"fmt"

	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/redisclient"
	"github.com/zixly/sweepline/shared/seal"
	"github.com/zixly/sweepline/shared/wait"
)

// openSeals makes the keys of this pipeline's events, by EVENT_SEAL_KEY or without it.
//
// A key that nobody has set is made here and kept in the folder, for what the queues
// still hold at the next start. Processes on one Redis must have the same, so there it
// is in that Redis as well: the first to come sets it, the others take it over. Whoever
// can read it there could as well write the queues and the records; a stranger at the
// ingress or at a function's port can do neither. Each keeps what it took over, so that
// a Redis that has lost its data is given the same key again.
func (l *Local) openSeals(ctx context.Context, cfg Config) (err error) {
	var c seal.Config
	if err := function.Load(&c); err != nil {
		return err
	}
	if c.Key == "" && c.Mode != seal.Off {
		if cfg.SealKeySet != "" {
			return errors.New("EVENT_SEAL_KEY is set but empty: unset it to have one made")
		}
		if cfg.RedisURL == "" {
			c.Key, err = secret(l.DataDir, "event-seal-key")
		} else {
			c.Key, err = l.sharedKey(ctx)
		}
		if err != nil {
			return err
		}
	}
	if l.Seals, err = seal.New(c); err != nil {
		return err
	}
	if l.Seals.Mode() != seal.Required {
		l.log.WarnContext(ctx, "event seals are not required: events are accepted from any sender", "EVENT_SEALS", l.Seals.Mode())
	}
	return nil
}

func (l *Local) sharedKey(ctx context.Context) (string, error) {
	const file = "event-seal-key-shared"
	ours, err := secret(l.DataDir, file)
	if err != nil {
		return "", err
	}
	var waits wait.Config
	if err := function.LoadWith(map[string]string{"REDIS_URL": l.stores.redisURL}, &waits); err != nil {
		return "", err
	}
	client, err := redisclient.New(l.stores.redisURL)
	if err != nil {
		return "", err
	}
	defer func() { _ = client.Close() }()
	var key string
	err = redisclient.Await(ctx, client, l.log, func(ctx context.Context) (err error) {
		key, err = redisclient.Agree(ctx, client, waits.KeyPrefix+"event-seal-key", ours)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("agree on EVENT_SEAL_KEY (set it to the same in all processes): %w", err)
	}
	if key == ours {
		return key, nil
	}
	return key, keep(l.DataDir, file, key)
}
