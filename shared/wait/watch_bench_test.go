package wait_test

import (
	"context"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/servers/servertest"
	"github.com/zixly/sweepline/shared/wait"
)

// BenchmarkWatch has a thousand watchers, each of another job. One operation is
// a change of every job, seen by its watcher: what a second of a thousand
// streams costs at worst, since the API tells progress once a second.
func BenchmarkWatch(b *testing.B) {
	const watchers = 1000
	w, _ := open(b, servertest.Redis(b), wait.Config{MaxConcurrent: 0})
	ctx, cancel := context.WithCancel(context.Background())
	b.Cleanup(cancel)
	records := make([]wait.Record, watchers)
	seen := make([]<-chan wait.Record, watchers)
	for i := range records {
		h := header("acme")
		_, err := w.Enter(ctx, h)
		require.NoError(b, err)
		_, records[i], err = w.Note(ctx, h.JobID, h.JobID, time.Minute, time.Hour)
		require.NoError(b, err)
	}
	before := heap()
	for i, r := range records {
		var err error
		seen[i], err = w.Watch(ctx, r.Header.JobID)
		require.NoError(b, err)
	}
	percent := 0 // of no sweep: it has to grow for as long as this runs
	for subscribed := false; !subscribed; {
		percent++
		_, err := w.Progress(ctx, records[0], percent, false, time.Hour, wait.Answered())
		require.NoError(b, err)
		select {
		case <-seen[0]:
			subscribed = true
		case <-time.After(10 * time.Millisecond):
		}
	}
	perWatcher := float64(heap()-before) / watchers
	cpu := cpuTime(b)
	for b.Loop() {
		percent++
		var wg sync.WaitGroup
		for k := range 8 {
			wg.Go(func() {
				for i := k; i < watchers; i += 8 {
					if _, err := w.Progress(ctx, records[i], percent, false, time.Hour, wait.Answered()); err != nil {
						b.Error(err)
					}
				}
			})
		}
		for i := range seen {
			for r := range seen[i] {
				if r.Progress == percent {
					break
				}
			}
		}
		wg.Wait()
	}
	b.ReportMetric(float64((cpuTime(b)-cpu).Microseconds())/1000/float64(b.N), "cpu-ms/op")
	b.ReportMetric(perWatcher, "B/watcher")
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// cpuTime is what this process has used, its writers of progress included.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
