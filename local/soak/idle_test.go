//go:build !race

package soak_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/servers"
	"github.com/zixly/sweepline/shared/servers/servertest"
	"github.com/zixly/sweepline/shared/wait"
)

// TestIdleSupervisorIsCheap: what a supervisor's process uses of the CPU while
// nothing is due does not depend on how many wait.
func TestIdleSupervisorIsCheap(t *testing.T) {
	alone(t)
	servertest.Redis(t) // skip, or fail, where there is none
	dir, err := os.MkdirTemp("", "sweepline-soak-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	store, err := servers.StartRedis(t.Context(), filepath.Join(dir, "redis"), "--appendonly", "no")
	require.NoError(t, err)
	t.Cleanup(store.Stop)
	jobs := either(5_000, 200_000)
	fill(t, store.URL, jobs)

	log, err := os.Create(filepath.Join(dir, "supervise.log"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = log.Close() })
	port := servertest.Port(t)
	p := &process{t: t, name: "supervise", port: port, log: log, ready: fmt.Sprintf("http://127.0.0.1:%d/readyz", port), env: []string{
		"REDIS_URL=" + store.URL, "K_SINK=http://127.0.0.1:1", "TRADING_API_URL=http://127.0.0.1:1", "EVENT_SEAL_KEY=soak-soak-soak-soak", fmt.Sprintf("PORT=%d", port),
	}}
	require.NoError(t, p.start())
	t.Cleanup(func() { p.stop(syscall.SIGKILL) })
	p.awaitReady()
	<-time.After(2 * time.Second) // what starting costs
	span := either(4*time.Second, 30*time.Second)
	before := cpuTime(t, p.cmd.Process.Pid)
	<-time.After(span)
	share := float64(cpuTime(t, p.cmd.Process.Pid)-before) / float64(span)
	t.Logf("%d waits, nothing due: %.2f %% of a core over %s", jobs, share*100, span)
	require.Less(t, share, either(.1, .02), "share of a core")
}

// fill makes jobs wait for their callbacks, none to be looked at for an hour.
func fill(t *testing.T, url string, n int) {
	t.Helper()
	w, err := wait.Open(t.Context(), wait.Config{RedisURL: url})
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.Close() })
	var wg sync.WaitGroup
	const workers = 16
	for k := range workers {
		wg.Go(func() {
			for i := k; i < n; i += workers {
				if err := waitFor(t.Context(), w); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// waitFor makes one job wait.
func waitFor(ctx context.Context, w *wait.Waits) error {
	h := job.Header{JobID: job.NewID(), TenantID: "big", JobType: job.Type, CreatedAt: time.Now(), Parameters: job.Sweep{Ticker: "DAX"}}
	if _, err := w.Accept(ctx, h, ""); err != nil {
		return err
	}
	if _, err := w.Enter(ctx, h); err != nil {
		return err
	}
	_, _, err := w.Note(ctx, h.JobID, job.NewID(), time.Hour, time.Hour)
	return err
}

// cpuTime is the user and system time of a process, as the kernel counts it, in
// hundredths of a second.
func cpuTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if os.IsNotExist(err) {
		t.Skip("left out: needs /proc")
	}
	require.NoError(t, err)
	_, after, _ := bytes.Cut(stat[bytes.LastIndexByte(stat, ')'):], []byte(" "))
	fields := bytes.Fields(after)
	total := 0
	for _, f := range fields[11:13] { // utime and stime, after the name and two more
		n, err := strconv.Atoi(string(f))
		require.NoError(t, err)
		total += n
	}
	return time.Duration(total) * 10 * time.Millisecond
}
