package group_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/jobstore/internal/group"
)

// recorder runs calls that each wait to be let go.
type recorder struct {
	mu    sync.Mutex
	calls [][]int
	free  chan struct{}
	err   func([]int) error
}

func (r *recorder) run(_ context.Context, values []int) ([]string, error) {
	r.mu.Lock()
	r.calls = append(r.calls, values)
	r.mu.Unlock()
	if r.free != nil {
		<-r.free
	}
	if r.err != nil {
		if err := r.err(values); err != nil {
			return nil, err
		}
	}
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = fmt.Sprint(v)
	}
	return out, nil
}

// TestCallsGatherWhileAnotherIsUnderWay: the first goes alone and at once.
func TestCallsGatherWhileAnotherIsUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{free: make(chan struct{})}
		g := &group.Group[int, string]{Run: r.run, Most: 100, Parallel: 1}
		var wg sync.WaitGroup
		do := func(values ...int) {
			wg.Go(func() {
				got, err := g.Do(context.Background(), values...)
				if err != nil || len(got) != len(values) || got[0] != fmt.Sprint(values[0]) {
					t.Errorf("do %v: %v, %v", values, got, err)
				}
			})
			synctest.Wait()
		}
		do(1)
		do(2, 3)
		do(4)
		require.Equal(t, [][]int{{1}}, r.calls)
		close(r.free)
		wg.Wait()
		g.Wait()
		require.Equal(t, [][]int{{1}, {2, 3, 4}}, r.calls)
	})
}

// TestLinger: under load values wait a moment for company; the first never does.
func TestLinger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		g := &group.Group[int, string]{Run: r.run, Most: 3, Parallel: 1, Linger: time.Second}
		begun := time.Now()
		_, err := g.Do(context.Background(), 1)
		require.NoError(t, err)
		require.Zero(t, time.Since(begun))
		g.Wait()

		r.free = make(chan struct{})
		var wg sync.WaitGroup
		do := func(n int) {
			wg.Go(func() {
				if _, err := g.Do(context.Background(), n); err != nil {
					t.Errorf("do: %v", err)
				}
			})
			synctest.Wait()
		}
		do(2)
		do(3)
		close(r.free)
		synctest.Wait()
		require.Len(t, r.calls, 2, "3 waits")
		do(4)
		wg.Wait()
		require.Equal(t, time.Second, time.Since(begun))
		require.Equal(t, [][]int{{1}, {2}, {3, 4}}, r.calls)
	})
}

func TestBounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{free: make(chan struct{})}
		g := &group.Group[int, string]{Run: r.run, Most: 3, Parallel: 2, Key: func(n int) string { return fmt.Sprint(n % 10) }}
		var wg sync.WaitGroup
		for _, values := range [][]int{{1}, {2}, {11, 12, 13, 23, 14, 15}} {
			wg.Go(func() {
				got, err := g.Do(context.Background(), values...)
				if err != nil || len(got) != len(values) || got[len(got)-1] != fmt.Sprint(values[len(values)-1]) {
					t.Errorf("do %v: %v, %v", values, got, err)
				}
			})
			synctest.Wait()
		}
		require.Equal(t, [][]int{{1}, {2}}, r.calls, "two are under way")
		close(r.free)
		wg.Wait()
		g.Wait()
		require.ElementsMatch(t, [][]int{{1}, {2}, {11, 12, 13}, {23, 14, 15}}, r.calls)
	})
}

func TestABadValueFailsNobodyElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bad := errors.New("out of range")
		r := &recorder{free: make(chan struct{}), err: func(values []int) error {
			for _, v := range values {
				if v == 3 {
					return bad
				}
			}
			return nil
		}}
		g := &group.Group[int, string]{Run: r.run, Most: 100, Parallel: 1}
		errs := make([]error, 5)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { _, errs[i] = g.Do(context.Background(), i) })
			synctest.Wait()
		}
		close(r.free)
		wg.Wait()
		require.Equal(t, []error{nil, nil, nil, bad, nil}, errs)
	})
}

func TestADatabaseThatIsAwayIsAskedOnce(t *testing.T) {
	t.Parallel()
	r := &recorder{err: func([]int) error { return jobstore.ErrUnavailable }}
	g := &group.Group[int, string]{Run: r.run, Most: 100, Parallel: 1}
	_, err := g.Do(t.Context(), 1, 2, 3)
	require.ErrorIs(t, err, jobstore.ErrUnavailable)
	g.Wait()
	require.Len(t, r.calls, 1)
}

func TestACallerThatGoesAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{free: make(chan struct{})}
		g := &group.Group[int, string]{Run: r.run, Most: 100, Parallel: 1}
		ctx, cancel := context.WithCancel(context.Background())
		var err error
		var wg sync.WaitGroup
		wg.Go(func() { _, err = g.Do(ctx, 1) })
		synctest.Wait()
		cancel()
		wg.Wait()
		require.ErrorIs(t, err, jobstore.ErrUnavailable)
		require.ErrorIs(t, err, context.Canceled)
		close(r.free)
		g.Wait()
		_, err = g.Do(ctx, 2)
		require.ErrorIs(t, err, jobstore.ErrUnavailable)
		require.Equal(t, [][]int{{1}}, r.calls)
		got, err := g.Do(context.Background())
		require.NoError(t, err)
		require.Empty(t, got)
	})
}
