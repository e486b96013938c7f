package jobs

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/enqueue"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/jobstore/postgres"
	"github.com/zixly/sweepline/shared/redisclient"
	"github.com/zixly/sweepline/shared/restore"
	"github.com/zixly/sweepline/shared/sink"
	"github.com/zixly/sweepline/shared/wait"
)

// FromEnv makes the Service of a process of its own. It loads more as well, so
// that everything that is missing is named at once. Stop closes what it opens.
func FromEnv(ctx context.Context, more ...any) (*Service, error) {
	var (
		cfg     Config
		out     sink.Config
		tenants auth.Config
		waiting wait.Config
		store   postgres.Config
	)
	if err := function.Load(append(more, &cfg, &out, &tenants, &waiting, &store)...); err != nil {
		return nil, err
	}
	keys, err := auth.New(tenants)
	if err != nil {
		return nil, err
	}
	slog.InfoContext(ctx, "authentication configured", "tenants", keys.Admits())
	sender, err := sink.New(out)
	if err != nil {
		return nil, err
	}
	client, err := redisclient.New(waiting.RedisURL)
	if err != nil {
		return nil, err
	}
	inspector, err := broker.NewInspector(client)
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	records, err := wait.Open(ctx, waiting)
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	// The role may be one that reads, and that of one tenant at a time.
	store.Migrate = false
	stored, err := postgres.Open(ctx, store)
	if err != nil {
		return nil, errors.Join(err, records.Close(), client.Close())
	}
	closeAll := func() error { return errors.Join(stored.Close(), records.Close(), client.Close()) }
	in, err := enqueue.New(records, sender, time.Now)
	if err != nil {
		return nil, errors.Join(err, closeAll())
	}
	lost, err := restore.New(OwnJobs{stored}, records, sender)
	if err != nil {
		return nil, errors.Join(err, closeAll())
	}
	s, err := New(cfg, Deps{Store: stored, Waits: records, Lost: lost, Enqueuer: in, DeadLetters: inspector, Keys: keys})
	if err != nil {
		return nil, errors.Join(err, closeAll())
	}
	s.close = closeAll
	return s, nil
}

// OwnJobs looks up jobs of the caller alone, which needs no view of all tenants.
type OwnJobs struct{ Store Store }

// Lookup implements restore's store.
func (o OwnJobs) Lookup(ctx context.Context, ids []string) ([]job.Job, error) {
	var found []job.Job
	for _, id := range ids {
		switch j, err := o.Store.Job(ctx, auth.FromContext(ctx), id); {
		case err == nil:
			found = append(found, j)
		case !errors.Is(err, jobstore.ErrNotFound):
			return nil, err
		}
	}
	return found, nil
}
