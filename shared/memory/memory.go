// Package memory lets the garbage collector know what memory there is.
package memory

import (
	"log/slog"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// share of the container's limit is for what Go manages; the rest is for stacks of
// the kernel, mapped files and SQLite.
const share = 0.9

// Bound sets GOMEMLIMIT from the limit of the container (its cgroup), unless the
// environment sets it: without it Go collects when the heap has doubled, whatever
// room is left, and a process of 64 MiB that holds 40 is killed. Outside a container
// it does nothing.
func Bound() {
	limit, err := memlimit.SetGoMemLimitWithOpts(memlimit.WithRatio(share), memlimit.WithProvider(memlimit.FromCgroup))
	if err != nil { // no cgroups, or no limit
		slog.Debug("no memory limit", "reason", err)
		return
	}
	if limit > 0 {
		slog.Debug("memory limit set", "bytes", limit)
	}
}
