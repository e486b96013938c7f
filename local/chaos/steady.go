//go:build linux

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"os"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"
)

func newSteady(s *session) *cobra.Command {
	var (
		lasts, every time.Duration
		dir          string
	)
	cmd := &cobra.Command{
		Use:   "steady",
		Short: "Run jobs at a steady rate and record memory, keys, goroutines and connections",
		Long: `No fault is injected, and the settings are those of production, but that what is
kept for a day is kept for a sixth of the run, so that keys can level off. Writes
steady.csv and steady.svg. Fails where something still grows in the last third.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.steady(cmd.Context(), lasts, every, dir); err != nil {
				return err
			}
			return s.finish(cmd)
		},
	}
	cmd.Flags().DurationVar(&lasts, "for", 30*time.Minute, "how long jobs come in")
	cmd.Flags().DurationVar(&every, "every", 5*time.Second, "time between two samples")
	cmd.Flags().StringVar(&dir, "out", filepath.Join(".build", "chaos", "steady"), "folder of the files")
	return cmd
}

func (s *session) steady(ctx context.Context, lasts, every time.Duration, dir string) error {
	o := s.options
	if o.Rate == 0 {
		o.Rate = 2
	}
	if o.Concurrent == 0 {
		o.Concurrent = 20
	}
	if o.Budget == 0 {
		o.Budget = int(o.Rate * 60 * 6)
	}
	o.Jobs, o.Defaults, o.Gap, o.FlushSet = int(o.Rate*lasts.Seconds()), true, time.Second, true
	keep := (lasts / 6).Round(time.Second).String()
	for _, name := range []string{"BROKER_DEDUP_WINDOW", "BROKER_RETENTION", "WAIT_RETENTION", "NOTIFY_KEEP"} {
		o.Env = append(o.Env, name+"="+keep)
	}
	o, err := o.fill()
	if err != nil {
		return err
	}
	rec := &recording{}
	if err := s.run(ctx, "steady", o, func(ctx context.Context, w *world, seen *observed) error {
		err := rec.take(ctx, w, lasts, every)
		seen.grown = rec.growing()
		return err
	}); err != nil {
		return err
	}
	return rec.write(dir)
}

// take measures until lasts is over.
func (r *recording) take(ctx context.Context, w *world, lasts, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < lasts; {
		values, err := w.measure(ctx)
		if err != nil {
			return err
		}
		r.add(time.Since(began), values)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// expiring is the panel that may grow for a day: idempotency keys are promised to
// be known for that long.
const expiring = "Redis keys that expire"

// measure reads every series once. A series is named "panel/process".
func (w *world) measure(ctx context.Context) (map[string]float64, error) {
	values := map[string]float64{}
	for name, p := range w.procs {
		rss, err := residentMiB(p.pid())
		if err != nil {
			return nil, err
		}
		values["memory, MiB/"+name] = rss
		m := scrape(ctx, w.admin[name], "go_goroutines", "process_open_fds")
		for metric, panel := range map[string]string{"go_goroutines": "goroutines", "process_open_fds": "open files"} {
			if v, ok := m[metric]; ok {
				values[panel+"/"+name] = v
			}
		}
	}
	for field, series := range map[string][2]string{
		"used_memory": {"memory", "Redis memory, MiB/redis"}, "connected_clients": {"clients", "connections/redis"},
	} {
		n, err := w.redis.info(ctx, series[0], field)
		if err != nil {
			return nil, err
		}
		values[series[1]] = float64(n)
	}
	values["Redis memory, MiB/redis"] /= 1 << 20
	stay, expire, err := w.redis.keys(ctx)
	if err != nil {
		return nil, err
	}
	values["Redis keys that stay/redis"], values[expiring+"/redis"] = float64(stay), float64(expire)
	var connections, jobs int
	err = w.postgres.query(ctx, func(c *pgx.Conn) error {
		return c.QueryRow(ctx, `select (select count(*) from pg_stat_activity where usename = 'sweepline'),
			(select count(*) from pipeline_jobs where status in ('QUEUED', 'RUNNING'))`).Scan(&connections, &jobs)
	})
	values["connections/postgres"], values["unfinished jobs/store"] = float64(connections), float64(jobs)
	return values, err
}

// residentMiB is the resident memory of a process.
func residentMiB(pid int) (float64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read memory: %w", err)
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("read memory: process %d has none", pid)
}
