package group_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/jobstore/internal/group"
)

// What nobody waits for gathers for a while; what somebody waits for goes at once, and
// takes the others along.
func TestPatience(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		g := &group.Group[int, string]{
			Run: r.run, Most: 4, Parallel: 2, Patience: 20 * time.Millisecond,
			Urgent: func(n int) bool { return n >= 100 },
		}
		var wg sync.WaitGroup
		do := func(values ...int) {
			wg.Go(func() {
				if _, err := g.Do(context.Background(), values...); err != nil {
					t.Errorf("do %v: %v", values, err)
				}
			})
			synctest.Wait()
		}
		began := time.Now()
		do(1)
		time.Sleep(5 * time.Millisecond)
		do(2)
		require.Empty(t, r.calls)
		do(100)
		require.Equal(t, [][]int{{1, 2, 100}}, r.calls, "at once")
		do(3)
		wg.Wait()
		require.Equal(t, [][]int{{1, 2, 100}, {3}}, r.calls)
		require.Equal(t, 25*time.Millisecond, time.Since(began), "no longer than its patience")
		do(101)
		do(4, 5, 6)
		require.Len(t, r.calls, 3, "urgent alone, the others wait")
		do(7)
		wg.Wait()
		require.Equal(t, [][]int{{101}, {4, 5, 6, 7}}, r.calls[2:], "as many as a call has")
		require.Equal(t, 25*time.Millisecond, time.Since(began))
		g.Wait()
	})
}
