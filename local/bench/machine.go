package bench

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
)

// Machine is what the figures were measured on. Load is that of the minute before,
// by everybody: 0 is a quiet machine.
type Machine struct {
	CPUs       int     `json:"cpus"`
	Model      string  `json:"model,omitempty"`
	Go         string  `json:"go"`
	Redis      string  `json:"redis,omitempty"`
	PostgreSQL string  `json:"postgresql,omitempty"`
	LoadBefore float64 `json:"load_before"`
	LoadAfter  float64 `json:"load_after"`
}

func (m Machine) String() string {
	return fmt.Sprintf("%d CPUs (%s), Redis %s, PostgreSQL %s, %s; load %.1f before and %.1f after",
		m.CPUs, m.Model, m.Redis, m.PostgreSQL, m.Go, m.LoadBefore, m.LoadAfter)
}

func describeMachine() Machine {
	m := Machine{CPUs: runtime.NumCPU(), Go: runtime.Version(), LoadBefore: load()}
	if raw, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if found := regexp.MustCompile(`(?m)^model name\s*:\s*(.*)$`).FindSubmatch(raw); found != nil {
			m.Model = string(found[1])
		}
	}
	return m
}

// load is the load average of a minute, 0 where it cannot be read.
func load() float64 {
	raw, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	var l float64
	if _, err := fmt.Sscan(string(raw), &l); err != nil {
		return 0
	}
	return l
}

// versions asks the servers.
func (l *lab) versions(ctx context.Context, m *Machine) error {
	text, err := l.redis.client.Info(ctx, "server").Result()
	if err != nil {
		return fmt.Errorf("read redis version: %w", err)
	}
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(line, "redis_version:"); ok {
			m.Redis = strings.TrimSpace(v)
		}
	}
	if err := l.pg.super.QueryRow(ctx, "SHOW server_version").Scan(&m.PostgreSQL); err != nil {
		return fmt.Errorf("read postgresql version: %w", err)
	}
	m.PostgreSQL, _, _ = strings.Cut(m.PostgreSQL, " ")
	return nil
}
