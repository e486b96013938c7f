package wait_test

import (
	"context"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/servers/servertest"
	"github.com/zixly/sweepline/shared/telemetry"
	"github.com/zixly/sweepline/shared/wait"
)

// waiting is how many jobs wait in BenchmarkWaiting. For the figures of the
// README: go test -bench Waiting ./shared/wait -waiting 1000000
var waiting = flag.Int("waiting", 20_000, "waits in BenchmarkWaiting")

// BenchmarkWaiting measures what waiting costs: memory in Redis, a look while
// nothing is due, and finding and leasing a thousand that are.
func BenchmarkWaiting(b *testing.B) {
	url := servertest.Redis(b)
	opts, err := redis.ParseURL(url)
	require.NoError(b, err)
	client := redis.NewClient(opts)
	b.Cleanup(func() { _ = client.Close() })
	ctx := context.Background()
	w, c := open(b, url, wait.Config{MaxConcurrent: 0, KeyPrefix: "sweepline:"})
	b.Cleanup(func() { dropAll(b, client) })
	before := memory(b, client)
	fill(b, w, *waiting)
	perWait := float64(memory(b, client)-before) / float64(*waiting)

	b.Run("idle", func(b *testing.B) {
		for b.Loop() {
			due, err := w.Due(ctx, 256, time.Second)
			if err != nil || len(due) > 0 {
				b.Fatal(len(due), err)
			}
			if d, err := w.AdmitNext(ctx, 32, 16, time.Second); err != nil || len(d.Calls) > 0 {
				b.Fatal(len(d.Calls), err)
			}
		}
		b.ReportMetric(perWait, "B/wait")
	})
	b.Run("lease-1000", func(b *testing.B) {
		c.advance(2 * time.Hour) // all are due from now on
		n := 0
		for b.Loop() {
			for left := 1000; left > 0; {
				d, err := w.AdmitNext(ctx, 32, left, 24*time.Hour)
				if err != nil {
					b.Fatal(err)
				}
				if len(d.Calls) == 0 { // all leased: the leases run out
					c.advance(25 * time.Hour)
				}
				left -= len(d.Calls)
				n += len(d.Calls)
			}
		}
		b.ReportMetric(float64(n)/float64(b.N), "leased/op")
	})
}

func fill(b *testing.B, w *wait.Waits, n int) {
	b.Helper()
	var wg sync.WaitGroup
	const workers = 32
	for k := range workers {
		wg.Go(func() {
			for i := k; i < n; i += workers {
				h := job.Header{
					JobID: job.NewID(), TenantID: "tenant-" + strconv.Itoa(i%50), JobType: job.Type, CreatedAt: start,
					Parameters: job.Sweep{Ticker: "BTC-USD", FastRange: [2]int{5, 50}, SlowRange: [2]int{20, 200}, Step: 5, MinTrades: 50, StrategyType: job.SMA},
				}
				ctx := telemetry.Start(context.Background())
				_, err := w.Accept(ctx, h, "print")
				if err == nil {
					_, err = w.Enter(ctx, h)
				}
				if err == nil {
					_, _, err = w.Note(ctx, h.JobID, job.NewID(), 2*time.Minute, time.Hour)
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func memory(b *testing.B, client *redis.Client) int64 {
	b.Helper()
	info, err := client.Info(context.Background(), "memory").Result()
	require.NoError(b, err)
	for line := range strings.Lines(info) {
		if text, ok := strings.CutPrefix(line, "used_memory:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
			require.NoError(b, err)
			return n
		}
	}
	b.Fatal("no used_memory")
	return 0
}

func dropAll(b *testing.B, client *redis.Client) {
	b.Helper()
	ctx := context.Background()
	it := client.Scan(ctx, 0, "sweepline:*", 10_000).Iterator()
	var batch []string
	for it.Next(ctx) {
		if batch = append(batch, it.Val()); len(batch) == 5000 {
			require.NoError(b, client.Unlink(ctx, batch...).Err())
			batch = batch[:0]
		}
	}
	require.NoError(b, it.Err())
	if len(batch) > 0 {
		require.NoError(b, client.Unlink(ctx, batch...).Err())
	}
}

// BenchmarkSubmission is Redis' share of taking one job from the webhook to its
// end.
func BenchmarkSubmission(b *testing.B) {
	for name, url := range map[string]func(testing.TB) string{"miniredis": servertest.Miniredis, "redis": servertest.Redis} {
		b.Run(name, func(b *testing.B) {
			w, _ := open(b, url(b), wait.Config{})
			ctx := context.Background()
			for i := 0; b.Loop(); i++ {
				h := header("acme")
				if _, err := w.Accept(ctx, h, "print"); err != nil {
					b.Fatal(err)
				}
				if _, err := w.Enter(ctx, h); err != nil {
					b.Fatal(err)
				}
				if _, _, err := w.Note(ctx, h.JobID, fmt.Sprint("t", i), 0, time.Minute); err != nil {
					b.Fatal(err)
				}
				res, err := w.Resolve(ctx, h.JobID, wait.End{RunID: "run"})
				if err != nil {
					b.Fatal(err)
				}
				if err := w.Conclude(ctx, res.Record, &machine{sent: map[string]int{}}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
