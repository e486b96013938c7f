package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

// TestNothingOfOursIsOpenToOthers: in a folder that somebody else made, which is
// open to all, every file is its owner's alone, those of an earlier release too;
// and the servers that we start get none of our settings.
func TestNothingOfOursIsOpenToOthers(t *testing.T) {
	const secret = "a-secret-in-the-environment-0123"
	t.Setenv("TRADING_API_KEY", secret)
	for name, args := range map[string][]string{"embedded": nil, "servers": {"--servers"}} {
		t.Run(name, func(t *testing.T) {
			if name == "servers" {
				servertest.Redis(t) // skip, or fail, where there are none
				servertest.Postgres(t)
			}
			base, err := os.MkdirTemp("", "sweepline-test-")
			require.NoError(t, err)
			t.Cleanup(func() { _ = os.RemoveAll(base) })
			dir := filepath.Join(base, "data")
			require.NoError(t, os.Mkdir(dir, 0o755))
			require.NoError(t, os.Chmod(base, 0o755))
			if name == "embedded" { // as an earlier release left it
				require.NoError(t, os.WriteFile(filepath.Join(dir, "sweepline.db"), nil, 0o644))
			}
			p := up(t, dir, args...)
			a, err := submit(t.Context(), p.client(), job.Sweep{
				Ticker: "SMI", FastRange: [2]int{5, 10}, SlowRange: [2]int{20, 30}, Step: 5, MinTrades: 10, StrategyType: job.EMA,
			})
			require.NoError(t, err)
			require.Eventually(t, func() bool { return p.types(t.Context(), a.JobID)[event.JobNotified] == 1 }, time.Minute, 20*time.Millisecond)

			require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				if err != nil || path == dir || d.Type()&fs.ModeSocket != 0 {
					return err
				}
				info, err := d.Info()
				if err == nil && info.Mode().Perm()&0o077 != 0 {
					t.Errorf("%s has mode %o", path, info.Mode().Perm())
				}
				return err
			}))
			for pid, env := range children(t, p.cmd.Process.Pid) {
				require.NotContains(t, env, secret, "environment of process %d", pid)
			}
			p.kill()
		})
	}
}

// children gives the environment of every process below pid.
func children(t *testing.T, pid int) map[int]string {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	parent := map[int]int{}
	for _, file := range stats {
		raw, err := os.ReadFile(file)
		if err != nil {
			continue // ended meanwhile
		}
		_, rest, _ := bytes.Cut(raw, []byte(") "))
		fields := strings.Fields(string(rest))
		id, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		parent[id], _ = strconv.Atoi(fields[1])
	}
	found := map[int]string{}
	for id := range parent {
		for up := parent[id]; up > 1; up = parent[up] {
			if up == pid {
				raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(id), "environ"))
				if err == nil {
					found[id] = string(raw)
				}
				break
			}
		}
	}
	return found
}
