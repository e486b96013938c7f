package fold_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/jobstore/internal/fold"
	"github.com/zixly/sweepline/shared/jobstore/jobstoretest"
)

// capture is a Writer that keeps the batches it is given.
func capture(into *[]fold.Batch) fold.Writer {
	return func(_ context.Context, b fold.Batch) (fold.Written, error) {
		*into = append(*into, b)
		w := fold.Written{Ended: map[string]fold.Stored{}}
		for _, e := range b.Ends {
			w.Ended[fold.Key(e.Header.JobID, e.Header.TenantID)] = fold.Stored{Job: job.Job{JobID: e.Header.JobID, Status: e.Status}, First: true}
		}
		return w, nil
	}
}

func TestMergingIsTheSameInAnyOrder(t *testing.T) {
	t.Parallel()
	h := jobstoretest.Header("default")
	e := jobstoretest.Life(t, h)
	events := []cloudevents.Event{e.Requested, e.Submitted, e.Again, e.Completed, e.Failed, jobstoretest.Notified(t, h, "log"), e.Again}
	var got []fold.Batch
	fold.Apply(t.Context(), events, capture(&got))
	want := got[0]
	require.Len(t, want.Changes, 1)
	require.Len(t, want.Ends, 1)
	random := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		random.Shuffle(len(events), func(a, b int) { events[a], events[b] = events[b], events[a] })
		got = nil
		for _, a := range fold.Apply(t.Context(), events, capture(&got)) {
			require.NoError(t, a.Err)
		}
		require.Len(t, got, 1)
		require.Equal(t, want.Changes, got[0].Changes)
		require.Equal(t, want.Ends, got[0].Ends)
		require.Len(t, got[0].Lines, 6)
	}
}

// TestRefusedEventsStandAlone: the database refuses two of many events and does
// not say which.
func TestRefusedEventsStandAlone(t *testing.T) {
	t.Parallel()
	var events []cloudevents.Event
	for range 64 {
		events = append(events, jobstoretest.Life(t, jobstoretest.Header("default")).Requested)
	}
	poison := map[string]bool{events[9].ID(): true, events[40].ID(): true}
	calls, stored := 0, 0
	out := fold.Apply(t.Context(), events, func(_ context.Context, b fold.Batch) (fold.Written, error) {
		calls++
		for _, l := range b.Lines {
			if poison[l.ID] {
				return fold.Written{}, fmt.Errorf("%w: out of range", fold.ErrRefused)
			}
		}
		stored += len(b.Lines)
		return fold.Written{}, nil
	})
	for i, a := range out {
		if i == 9 || i == 40 {
			require.ErrorIs(t, a.Err, jobstore.ErrUnreadable)
			require.ErrorContains(t, a.Err, "out of range")
			continue
		}
		require.NoError(t, a.Err)
	}
	require.Equal(t, 62, stored)
	require.LessOrEqual(t, calls, 2*2*6+1)
}

func TestAnErrorIsEverybodys(t *testing.T) {
	t.Parallel()
	events := []cloudevents.Event{jobstoretest.Life(t, jobstoretest.Header("a")).Requested, {}, jobstoretest.Life(t, jobstoretest.Header("a")).Failed}
	out := fold.Apply(t.Context(), events, func(context.Context, fold.Batch) (fold.Written, error) {
		return fold.Written{}, jobstore.ErrUnavailable
	})
	require.ErrorIs(t, out[0].Err, jobstore.ErrUnavailable)
	require.ErrorIs(t, out[1].Err, jobstore.ErrUnreadable)
	require.ErrorIs(t, out[2].Err, jobstore.ErrUnavailable)
	require.Nil(t, out[2].Job)
}

// FuzzOne holds that whatever is taken can be stored and read back.
func FuzzOne(f *testing.F) {
	e := jobstoretest.Life(f, jobstoretest.Header("default"))
	for _, x := range []cloudevents.Event{e.Requested, e.Submitted, e.Completed, e.Failed, jobstoretest.Collected(f, jobstoretest.Header("default"), jobstoretest.Rows(2))} {
		f.Add(x.Type(), x.ID(), x.Data())
	}
	f.Fuzz(func(t *testing.T, typ, id string, data []byte) {
		e := cloudevents.New()
		e.SetType(typ)
		e.SetID(id)
		e.SetTime(jobstoretest.Start)
		e.DataEncoded = data
		x, err := fold.One(e)
		c, l := x.Change, x.Line
		if err != nil {
			require.ErrorIs(t, err, jobstore.ErrUnreadable)
			return
		}
		require.Contains(t, event.Types(), typ)
		require.NoError(t, c.Header.Parameters.Validate())
		require.True(t, json.Valid([]byte(l.Data)))
		for _, s := range []string{l.ID, l.TenantID, l.Error, c.TradingJobID} {
			require.Equal(t, jobstore.Text(s, len(s)), s)
		}
		require.Equal(t, c.Header.CreatedAt, c.Header.CreatedAt.Truncate(time.Microsecond))
		for _, at := range []time.Time{c.Header.CreatedAt, l.Time} {
			_, err := at.MarshalJSON()
			require.NoError(t, err)
		}
		if x.End == nil {
			return
		}
		require.Equal(t, jobstore.Text(x.End.SweepRunID, 200), x.End.SweepRunID)
		_, err = x.End.CompletedAt.MarshalJSON()
		require.NoError(t, err)
		require.LessOrEqual(t, len(x.End.Failure.Message), 2000)
		raw, err := json.Marshal(x.End.Best)
		require.NoError(t, err)
		require.NotContains(t, string(raw), "\\u0000")
	})
}
