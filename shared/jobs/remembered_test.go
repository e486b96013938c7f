package jobs

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/jobstore"
)

// What is remembered is read once for all who ask, goes on without its first asker, and is
// read again once it is old; a failure is not repeated by everybody either.
func TestRemembered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r remembered[int]
		var reads atomic.Int64
		var failure error
		get := func(ctx context.Context, key string) (int, error) {
			return r.get(ctx, key, time.Now, time.Minute, func(ctx context.Context) (int, error) {
				time.Sleep(5 * time.Second)
				return int(reads.Add(1)), errors.Join(ctx.Err(), failure)
			})
		}
		first, leave := context.WithCancel(t.Context())
		go func() {
			time.Sleep(time.Second)
			leave()
		}()
		_, err := get(first, "a")
		require.ErrorIs(t, err, context.Canceled)
		var others sync.WaitGroup
		for range 5 {
			others.Go(func() {
				got, err := get(t.Context(), "a")
				require.NoError(t, err)
				require.Equal(t, 1, got)
			})
		}
		others.Wait()
		got, err := get(t.Context(), "b")
		require.NoError(t, err)
		require.Equal(t, 2, got, "another key is another read")
		time.Sleep(time.Minute)
		failure = errors.New("away")
		_, err = get(t.Context(), "a")
		require.ErrorIs(t, err, failure)
		_, err = get(t.Context(), "a")
		require.ErrorIs(t, err, failure)
		require.EqualValues(t, 3, reads.Load(), "a failure is kept for a moment")
		failure = nil
		time.Sleep(failureKept)
		got, err = get(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, 4, got)
		r.running.Wait()
	})
}

// Counts are of all filters of a query, those that are added later too.
func TestCountsAreOfTheirFilters(t *testing.T) {
	t.Parallel()
	base := keyOf("a", jobstore.Query{})
	require.Equal(t, base, keyOf("a", jobstore.Query{Limit: 5, Cursor: "x", Sort: jobstore.BestFirst}))
	seen := map[countsKey]bool{base: true, keyOf("b", jobstore.Query{}): true}
	for _, q := range []jobstore.Query{
		{Prefix: "019a8f"}, {Ticker: "DAX"}, {Group: "g"}, {Text: "x"}, {Labels: []string{"a b"}}, {Labels: []string{"a", "b"}},
		{Since: time.Unix(1, 0)}, {Until: time.Unix(1, 0)},
	} {
		require.False(t, seen[keyOf("a", q)], "%+v", q)
		seen[keyOf("a", q)] = true
	}
}
