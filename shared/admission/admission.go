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

// Position is a job's position in the queue, from 1; 0 if it is not queued. id is the
// 16 bytes of its id.
func (a *Admission) Position(ctx context.Context, id string) (int, error) {
	n, err := a.Run(ctx, positionScript, id).Int()
	if err != nil {
		return 0, fmt.Errorf("find queue position: %w", err)
	}
	return n, nil
}
