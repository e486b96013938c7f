package admission

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

type clock struct{ ms atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ms.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMilli())
	return c
}

func (c *clock) now() time.Time          { return time.UnixMilli(c.ms.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.ms.Add(d.Milliseconds()) }

func client(t *testing.T, url string) *redis.Client {
	t.Helper()
	o, err := redis.ParseURL(url)
	require.NoError(t, err)
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func open(t *testing.T, c *redis.Client, base string, rpm int, now func() time.Time) *Admission {
	t.Helper()
	a, err := New(c, base, Config{RequestsPerMinute: rpm, BackoffMin: time.Second, BackoffMax: time.Minute}, now)
	require.NoError(t, err)
	return a
}

func eachRedis(t *testing.T, test func(t *testing.T, c *redis.Client, base string)) {
	t.Helper()
	for name, url := range map[string]func(testing.TB) string{"miniredis": servertest.Miniredis, "redis": servertest.Redis} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, client(t, url(t)), "admission"+job.NewID()+":{w}:")
		})
	}
}

// TestConfigBoundsEveryMinute: whatever the limit, a minute holds no more, however
// late a call comes that was counted before.
func TestConfigBoundsEveryMinute(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 2000; n++ {
		c := Config{RequestsPerMinute: n}
		burst, reserve := c.burst()
		require.Positive(t, burst-reserve)
		// A call as long after another as the span is in another span.
		most := burst + int(math.Ceil((time.Minute+2*Fresh).Seconds()*1000/c.every())) - 1
		require.LessOrEqual(t, most, n)
		if n >= 8 {
			require.Greater(t, 60_000/c.every(), .75*float64(n), "and it is used, with %d", n)
		}
	}
}

// TestPartiesAlternate: everybody who is in need of calls all the time gets as many
// as the others, and who has died holds nobody up for long.
func TestPartiesAlternate(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, c *redis.Client, base string) {
		clk := newClock()
		var parties []*Admission
		for range 4 {
			parties = append(parties, open(t, c, base, 100, clk.now))
		}
		come := make([]time.Time, len(parties))
		got := make([]int, len(parties))
		questions := 0
		end := clk.now().Add(10 * time.Minute)
		for clk.now().Before(end) {
			for i, p := range parties {
				if i == 3 && clk.now().After(end.Add(-5*time.Minute)) {
					continue // it has died
				}
				for !come[i].After(clk.now()) {
					questions++
					ms, err := p.Run(t.Context(), askScript, p.party).Int64()
					require.NoError(t, err)
					if ms == 0 {
						got[i]++
					}
					come[i] = clk.now().Add(time.Duration(ms) * time.Millisecond)
					if ms == 0 {
						continue
					}
					break
				}
			}
			clk.advance(10 * time.Millisecond)
		}
		sum := got[0] + got[1] + got[2] + got[3]
		require.InDelta(t, 820, sum, 30)
		require.InDelta(t, got[0], got[1], 15, "%v", got)
		require.InDelta(t, got[0], got[2], 15, "%v", got)
		require.InDelta(t, 103, got[3], 20, "%v", got)
		require.Less(t, questions, 3*sum, "nobody asks for nothing")
	})
}

// TestAwait runs on the time of Redis.
func TestAwait(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, c *redis.Client, base string) {
		const rpm = 3000 // one in 25 ms or so
		ours, theirs := open(t, c, base, rpm, nil), open(t, c, base, rpm, nil)
		var wg sync.WaitGroup
		began := time.Now()
		for _, a := range []*Admission{ours, theirs} {
			for range 20 {
				wg.Go(func() {
					if err := a.Await(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		require.GreaterOrEqual(t, time.Since(began), 39*time.Duration(ours.cfg.every()*1e6), "nothing is known of the last minute")

		slow := open(t, c, base+"slow:", 1, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, slow.Await(ctx), context.DeadlineExceeded)
		free := open(t, c, base+"free:", 0, nil)
		require.NoError(t, free.Await(t.Context()))
		n, err := c.Exists(t.Context(), base+"free:budget").Result()
		require.NoError(t, err)
		require.Zero(t, n, "without a limit nothing is kept")
	})
}

// TestSilenceHoldsForPagesToo: what the API asked for at a read holds for calls of
// work under way.
func TestSilenceHoldsForPagesToo(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, c *redis.Client, base string) {
		clk := newClock()
		a := open(t, c, base, 100, clk.now)
		clk.advance(time.Minute)
		_, err := a.Allow(t.Context())
		require.NoError(t, err)
		clk.advance(time.Minute)
		shut, err := a.Report(t.Context(), Reads, false, 30*time.Second)
		require.NoError(t, err)
		require.Equal(t, 30*time.Second, shut)
		_, err = a.Report(t.Context(), Reads, true, 0)
		require.NoError(t, err)
		ask := func() int64 {
			ms, err := a.Run(t.Context(), askScript, a.party).Int64()
			require.NoError(t, err)
			return ms
		}
		require.EqualValues(t, 30_000, ask())
		clk.advance(30 * time.Second)
		require.Zero(t, ask())
	})
}

// TestAClockOfRedisThatIsSetBack: a failover may bring another clock.
func TestAClockOfRedisThatIsSetBack(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, c *redis.Client, base string) {
		clk := newClock()
		a := open(t, c, base, 100, clk.now)
		clk.advance(time.Hour)
		_, err := a.Allow(t.Context())
		require.NoError(t, err)
		_, err = a.Report(t.Context(), Submissions, false, 0)
		require.NoError(t, err)
		clk.advance(-time.Hour)
		got := 0
		for range 120 {
			clk.advance(time.Second)
			pause, err := a.Allow(t.Context())
			require.NoError(t, err)
			if pause == 0 {
				got++
			}
		}
		require.Greater(t, got, 90, "it goes on at once")
		shut, err := a.Report(t.Context(), Submissions, true, 0)
		require.NoError(t, err)
		require.Zero(t, shut)
	})
}

// TestBudgetModel draws limits, parties and pauses, and counts every minute.
func TestBudgetModel(t *testing.T) {
	t.Parallel()
	c := client(t, servertest.AnyRedis(t))
	prefix := fmt.Sprintf("model%d-", time.Now().UnixNano())
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		clk := newClock()
		rpm := rapid.IntRange(1, 40).Draw(t, "requests per minute")
		var parties []*Admission
		for range 3 {
			a, err := New(c, fmt.Sprintf("%s%d:{w}:", prefix, runs), Config{RequestsPerMinute: rpm, BackoffMin: time.Second, BackoffMax: time.Minute}, clk.now)
			require.NoError(t, err)
			parties = append(parties, a)
		}
		var taken []time.Time
		t.Repeat(map[string]func(*rapid.T){
			"ask": func(t *rapid.T) {
				a := rapid.SampledFrom(parties).Draw(t, "party")
				ms, err := a.Run(context.Background(), askScript, a.party).Int64()
				require.NoError(t, err)
				if ms == 0 {
					taken = append(taken, clk.now())
				}
			},
			"try": func(t *rapid.T) {
				pause, err := parties[0].Allow(context.Background())
				require.NoError(t, err)
				if pause == 0 {
					taken = append(taken, clk.now())
				}
			},
			"pause": func(t *rapid.T) {
				clk.advance(time.Duration(rapid.IntRange(1, 20_000).Draw(t, "ms")) * time.Millisecond)
			},
			"": func(t *rapid.T) {
				n := 0
				for _, at := range taken {
					if clk.now().Sub(at) < time.Minute+2*Fresh {
						n++
					}
				}
				require.LessOrEqual(t, n, rpm)
			},
		})
	})
}
