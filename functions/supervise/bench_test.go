package supervise_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions/supervise"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/servers/servertest"
	"github.com/zixly/sweepline/shared/trading"
	"github.com/zixly/sweepline/shared/wait"
)

// absent is a trading API that nobody should need.
type absent struct{}

var errAbsent = errors.New("no API here")

func (absent) Job(context.Context, string) (trading.Job, error)               { return trading.Job{}, errAbsent }
func (absent) Find(context.Context, string, time.Time) ([]trading.Job, error) { return nil, errAbsent }
func (absent) Cancel(context.Context, string) error                           { return errAbsent }

type nowhere struct{}

func (nowhere) Send(context.Context, ...cloudevents.Event) error { return nil }

// BenchmarkSlotPassedOn measures from the end of a job to the event that gives
// the next in the queue its admission, with the real loops on a real Redis: the promise is
// 100 ms. A thousand others of two tenants are queued.
func BenchmarkSlotPassedOn(b *testing.B) {
	ctx := context.Background()
	waits, err := wait.Open(ctx, wait.Config{RedisURL: servertest.Redis(b), KeyPrefix: "bench" + job.NewID() + ":", MaxConcurrent: 1})
	require.NoError(b, err)
	sink := make(channel, 16)
	f, err := supervise.New(supervise.Config{}, waits, absent{}, sink, prometheus.NewRegistry())
	require.NoError(b, err)
	require.NoError(b, f.Start(ctx, nil))
	b.Cleanup(func() {
		require.NoError(b, f.Stop(ctx))
		require.NoError(b, waits.Close())
	})
	enter := func(tenant string) string {
		h := job.Header{JobID: job.NewID(), TenantID: tenant, JobType: job.Type, CreatedAt: time.Now(), Parameters: job.Sweep{Ticker: "DAX"}}
		_, err := waits.Enter(ctx, h)
		require.NoError(b, err)
		return h.JobID
	}
	holder := enter("a")
	for range 500 {
		enter("a")
		enter("b")
	}
	var took []time.Duration
	for b.Loop() {
		res, err := waits.Resolve(ctx, holder, wait.End{RunID: "run"})
		require.NoError(b, err)
		start := time.Now()
		require.NoError(b, waits.Conclude(ctx, res.Record, nowhere{}))
		holder = (<-sink).Subject()
		took = append(took, time.Since(start))
		enter("a")
	}
	slices.Sort(took)
	at := func(share float64) float64 {
		return float64(took[int(share*float64(len(took)-1))].Microseconds()) / 1000
	}
	b.ReportMetric(at(.5), "p50-ms")
	b.ReportMetric(at(.99), "p99-ms")
	b.ReportMetric(at(1), "max-ms")
}

// BenchmarkBudgetUsedUp measures what 500 jobs in the queue cost while the API takes no
// more calls: the promise is 2 % of a core, and not one event. It takes ten seconds
// whatever the -benchtime.
func BenchmarkBudgetUsedUp(b *testing.B) {
	ctx := context.Background()
	url := servertest.Redis(b)
	for _, slots := range []int{0, 5} {
		b.Run(fmt.Sprintf("slots-%d", slots), func(b *testing.B) {
			waits, err := wait.Open(ctx, wait.Config{
				RedisURL: url, KeyPrefix: "bench" + job.NewID() + ":", MaxConcurrent: slots, RequestsPerMinute: 1,
			})
			require.NoError(b, err)
			sink := make(channel, 16)
			f, err := supervise.New(supervise.Config{}, waits, absent{}, sink, prometheus.NewRegistry())
			require.NoError(b, err)
			for range 500 {
				h := job.Header{JobID: job.NewID(), TenantID: "a", JobType: job.Type, CreatedAt: time.Now(), Parameters: job.Sweep{Ticker: "DAX"}}
				_, err := waits.Enter(ctx, h)
				require.NoError(b, err)
			}
			require.NoError(b, f.Start(ctx, nil))
			const span = 10 * time.Second
			redisBefore, before := redisCPU(b, url), processCPU(b)
			<-time.After(span)
			share := float64(processCPU(b)-before) / float64(span)
			redisShare := float64(redisCPU(b, url)-redisBefore) / float64(span)
			require.NoError(b, f.Stop(ctx))
			require.NoError(b, waits.Close())
			require.LessOrEqual(b, len(sink), 1, "events")
			b.ReportMetric(share*100, "%core")
			b.ReportMetric(redisShare*100, "redis-%core")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func processCPU(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func redisCPU(b *testing.B, url string) time.Duration {
	b.Helper()
	o, err := redis.ParseURL(url)
	require.NoError(b, err)
	c := redis.NewClient(o)
	defer func() { _ = c.Close() }()
	text, err := c.Info(context.Background(), "cpu").Result()
	require.NoError(b, err)
	var sum float64
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_sys" || name == "used_cpu_user" {
			v, err := strconv.ParseFloat(value, 64)
			require.NoError(b, err)
			sum += v
		}
	}
	return time.Duration(sum * float64(time.Second))
}
