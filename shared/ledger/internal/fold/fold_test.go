package fold_test

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/ledger"
	"github.com/zixly/sweepline/shared/ledger/internal/fold"
	"github.com/zixly/sweepline/shared/ledger/ledgertest"
)

func TestMergingIsTheSameInAnyOrder(t *testing.T) {
	t.Parallel()
	h := ledgertest.Header("default")
	e := ledgertest.Life(t, h)
	events := []cloudevents.Event{e.Requested, e.Submitted, e.Again, e.Completed, e.Failed, ledgertest.Notified(t, h, "log"), e.Again}
	want, _, err := fold.Events(events)
	require.NoError(t, err)
	require.Len(t, want, 1)
	random := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		random.Shuffle(len(events), func(a, b int) { events[a], events[b] = events[b], events[a] })
		got, lines, err := fold.Events(events)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Len(t, lines, 6)
	}
}

// FuzzOne holds that whatever is taken can be stored and read back.
func FuzzOne(f *testing.F) {
	e := ledgertest.Life(f, ledgertest.Header("default"))
	for _, x := range []cloudevents.Event{e.Requested, e.Submitted, e.Completed, e.Failed} {
		f.Add(x.Type(), x.ID(), x.Data())
	}
	f.Fuzz(func(t *testing.T, typ, id string, data []byte) {
		e := cloudevents.New()
		e.SetType(typ)
		e.SetID(id)
		e.SetTime(ledgertest.Start)
		e.DataEncoded = data
		c, l, err := fold.One(e)
		if err != nil {
			require.ErrorIs(t, err, ledger.ErrUnreadable)
			return
		}
		require.Contains(t, event.Types(), typ)
		require.NoError(t, c.Header.Parameters.Validate())
		require.True(t, json.Valid([]byte(l.Data)))
		for _, s := range []string{l.ID, l.TenantID, l.Error, c.TradingJobID, c.SweepRunID} {
			require.Equal(t, ledger.Text(s, len(s)), s)
		}
		require.Equal(t, c.Header.CreatedAt, c.Header.CreatedAt.Truncate(time.Microsecond))
		if c.Failure != nil {
			require.LessOrEqual(t, len(c.Failure.Message), 2000)
		}
	})
}
