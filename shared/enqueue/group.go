package enqueue

import (
	"context"
	"errors"
	"fmt"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"golang.org/x/sync/errgroup"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/telemetry"
	"github.com/zixly/sweepline/shared/wait"
)

// recordsAtOnce is how many first records of a group are written at the same time.
const recordsAtOnce = 8

// EnqueueGroup is Enqueue for a sweep of many tickers: a job each, in their order, all
// of them or none. The group has the id of its first job; the other ids follow from it
// and their tickers. All records are written before the first event is sent, and the
// events are sent together, so that the broker keeps all or none. Where it fails, the
// records that it made are marked refused, as that of a single job is.
func (i *Enqueuer) EnqueueGroup(ctx context.Context, r Request, tickers []string) ([]Accepted, error) {
	if len(tickers) == 0 {
		return nil, errors.New("a group needs tickers")
	}
	r.Sweep.Ticker = tickers[0]
	first, err := i.header(ctx, r)
	if err != nil {
		return nil, err
	}
	// That of the whole group, for each of its jobs: a key that stood for one job, or for
	// other tickers, finds another at the first.
	print, err := fingerprint(r, tickers)
	if err != nil {
		return nil, err
	}
	first.GroupID = first.JobID
	headers := make([]job.Header, len(tickers))
	for n, ticker := range tickers {
		headers[n] = first
		headers[n].Parameters.Ticker = ticker
		if n > 0 {
			headers[n].JobID = job.MemberID(first.JobID, ticker)
		}
	}
	records := make([]wait.Acceptance, len(headers))
	if err := i.acceptAll(ctx, headers, records, print, r.Shares); err != nil {
		i.markAllRefused(ctx, headers, records)
		return nil, err
	}
	events := make([]cloudevents.Event, len(records))
	accepted := make([]Accepted, len(records))
	for n, a := range records {
		if events[n], err = event.NewRequested(event.Requested{Header: a.Header}); err != nil {
			return nil, fmt.Errorf("accept job %s: %w", a.Header.JobID, err)
		}
		telemetry.IntoEvent(ctx, &events[n])
		accepted[n] = Accepted{Header: a.Header, Replayed: a.Replayed}
	}
	if err := i.sink.Send(ctx, events...); err != nil {
		if refused(err) {
			i.markAllRefused(ctx, headers, records)
		}
		return nil, fmt.Errorf("accept group %s: %w", first.JobID, err)
	}
	return accepted, nil
}

// acceptAll writes the first records, the first one before all others: it tells whether
// the key is known.
func (i *Enqueuer) acceptAll(ctx context.Context, headers []job.Header, records []wait.Acceptance, print string, shares wait.Shares) (err error) {
	if records[0], err = i.accept(ctx, headers[0], print, shares); err != nil {
		return err
	}
	var writing errgroup.Group
	writing.SetLimit(recordsAtOnce)
	for n := 1; n < len(headers); n++ {
		writing.Go(func() (err error) {
			records[n], err = i.accept(ctx, headers[n], print, shares)
			return err
		})
	}
	return writing.Wait()
}

// markAllRefused marks the records that were made: not those that were there.
func (i *Enqueuer) markAllRefused(ctx context.Context, headers []job.Header, records []wait.Acceptance) {
	var made []string
	for n, a := range records {
		if a.Header.JobID != "" && !a.Replayed && !a.Conflict && !a.Full {
			made = append(made, headers[n].JobID)
		}
	}
	i.markRefused(ctx, made...)
}
