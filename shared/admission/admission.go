package admission

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zixly/sweepline/shared/job"
)

// Admission is safe for concurrent use.
type Admission struct {
	redis  redis.Scripter
	base   string
	cfg    Config
	limits string
	now    func() time.Time
	party  string
	asking chan struct{} // held by the one caller of this process that requests a call
}

// New refuses bad configuration and does no I/O. base begins all keys and must
// hold a hash tag. A nil clock, as in production, leaves the time to Redis.
func New(client redis.Scripter, base string, cfg Config, clock func() time.Time) (*Admission, error) {
	if client == nil || base == "" {
		return nil, errors.New("admission: redis client and key prefix are required")
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Admission{
		redis: client, base: base, cfg: cfg, limits: cfg.limits(), now: clock,
		party: "process " + job.NewID(), asking: make(chan struct{}, 1),
	}, nil
}

// Positions are the positions of jobs in the queue, from 1; 0 for one that is not
// queued. ids are the 16 bytes of their ids, at most a few hundred.
func (a *Admission) Positions(ctx context.Context, ids ...string) ([]int, error) {
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	found, err := a.Run(ctx, positionScript, args...).Int64Slice()
	if err == nil && len(found) != len(ids) {
		err = errors.New("unexpected redis reply")
	}
	if err != nil {
		return nil, fmt.Errorf("find queue positions: %w", err)
	}
	places := make([]int, len(found))
	for i, n := range found {
		places[i] = int(n)
	}
	return places, nil
}
