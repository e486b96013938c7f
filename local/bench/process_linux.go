package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// endWithUs ends a process with the thread that started it.
func endWithUs(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGTERM }

// tick is the unit of CPU times in /proc: USER_HZ is 100 on every architecture
// that Go runs on.
const tick = 10 * time.Millisecond

// stat is what /proc/PID/stat says of a process.
type stat struct {
	parent int
	// own is its CPU time, ended that of children which it has waited for.
	own, ended time.Duration
}

func readStat(pid int) (stat, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, fmt.Errorf("read CPU time: %w", err)
	}
	f := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:]) // the name before may hold anything
	if len(f) < 15 {
		return stat{}, fmt.Errorf("read CPU time of process %d: too few fields", pid)
	}
	number := func(i int) int {
		n, err2 := strconv.Atoi(string(f[i]))
		err = errors.Join(err, err2)
		return n
	}
	s := stat{parent: number(1), own: time.Duration(number(11)+number(12)) * tick, ended: time.Duration(number(13)+number(14)) * tick}
	return s, err
}

// cpuTime is the CPU time of a process and of all that it has started.
func cpuTime(pid int) (time.Duration, error) {
	s, err := readStat(pid)
	if err != nil {
		return 0, err
	}
	total := s.own + s.ended
	others, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, fmt.Errorf("list processes: %w", err)
	}
	for _, dir := range others {
		child, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		if c, err := readStat(child); err == nil && c.parent == pid { // one that has ended meanwhile is in s.ended next time
			total += c.own + c.ended
		}
	}
	return total, nil
}

// ownCPUTime is that of this process.
func ownCPUTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// memory is what a process holds: all of it, and the part that is no file's.
type memory struct{ resident, anonymous int64 }

func readMemory(pid int) (memory, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return memory{}, fmt.Errorf("read memory: %w", err)
	}
	var m memory
	for line := range bytes.Lines(raw) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		into := map[string]*int64{"VmRSS": &m.resident, "RssAnon": &m.anonymous}[string(name)]
		if into == nil {
			continue
		}
		kib, err := strconv.ParseInt(string(bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(value), []byte("kB")))), 10, 64)
		if err != nil {
			return m, fmt.Errorf("read memory: %w", err)
		}
		*into = kib << 10
	}
	return m, nil
}
