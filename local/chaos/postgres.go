//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zixly/sweepline/shared/servers"
)

// postgresServer is the private PostgreSQL of a run. It does not sync: what a
// killed process has handed to the kernel is not lost.
type postgresServer struct {
	*process

	addr string
}

// newPostgres makes the cluster, the role and the database in dir, which any
// user may enter.
func newPostgres(ctx context.Context, addr, dir string, log *os.File) (*postgresServer, error) {
	once, err := servers.StartPostgres(ctx, dir)
	if err != nil {
		return nil, err
	}
	once.Stop()
	// PostgreSQL notes how it was started, and by whom its folder is owned.
	opts, err := os.ReadFile(filepath.Join(dir, "postmaster.opts"))
	if err != nil {
		return nil, fmt.Errorf("find postgres: %w", err)
	}
	program, _, _ := strings.Cut(string(opts), " ")
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("find postgres: %w", err)
	}
	p := &postgresServer{addr: addr}
	p.process = &process{
		name: "postgres", log: log, addr: addr, family: true,
		command: func() *exec.Cmd {
			cmd := exec.Command(program, "-D", dir, "-p", portOf(addr), "-c", "listen_addresses=127.0.0.1", "-k", dir, //nolint:noctx // down ends it
				"-c", "max_connections=200", "-c", "timezone=UTC", "-c", "fsync=off", "-c", "shared_buffers=32MB")
			cmd.Dir = dir
			if owner, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}}
			}
			return cmd
		},
		ready: func(ctx context.Context) error { return p.query(ctx, func(c *pgx.Conn) error { return c.Ping(ctx) }) },
	}
	return p, nil
}

// url is for a pipeline that reaches the server at addr.
func (*postgresServer) url(addr string) string {
	return "postgres://" + servers.Owner + "@" + addr + "/sweepline?sslmode=disable"
}

// query connects as superuser, who sees the rows of all tenants and may write
// while others may not.
func (p *postgresServer) query(ctx context.Context, do func(*pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, "postgres://postgres@"+p.addr+"/sweepline?sslmode=disable&default_transaction_read_only=off")
	if err != nil {
		return fmt.Errorf("connect to postgres: %w", err)
	}
	defer func() { _ = c.Close(context.WithoutCancel(ctx)) }()
	return do(c)
}

// readOnly refuses writes in transactions that begin from now on.
func (p *postgresServer) readOnly(ctx context.Context, on bool) error {
	return p.query(ctx, func(c *pgx.Conn) error {
		if _, err := c.Exec(ctx, fmt.Sprintf("alter system set default_transaction_read_only = %t", on)); err != nil {
			return fmt.Errorf("make postgres read-only: %w", err)
		}
		_, err := c.Exec(ctx, "select pg_reload_conf()")
		return err
	})
}

// row is a job as the store has it.
type row struct {
	ID, Tenant, Status, Code, Ticker string
	// Results counts the rows of its sweep.
	Results int
}

func (r row) ended() bool { return r.Status == completed || r.Status == failed }

// The terminal states.
const (
	completed = "COMPLETED"
	failed    = "FAILED"
)

// stored are all jobs and the types of the events in their timelines.
func (p *postgresServer) stored(ctx context.Context) (jobs map[string]row, events map[string]map[string]int, err error) {
	jobs, events = map[string]row{}, map[string]map[string]int{}
	err = p.query(ctx, func(c *pgx.Conn) error {
		rows, err := c.Query(ctx, `select j.id::text, j.tenant_id, j.status::text, coalesce(j.error_code, ''), j.parameters->>'ticker',
			(select count(*) from trading_sweep_results r where r.job_id = j.id) from pipeline_jobs j`)
		if err != nil {
			return err
		}
		var r row
		_, err = pgx.ForEachRow(rows, []any{&r.ID, &r.Tenant, &r.Status, &r.Code, &r.Ticker, &r.Results}, func() error {
			jobs[r.ID] = r
			return nil
		})
		if err != nil {
			return err
		}
		if rows, err = c.Query(ctx, "select job_id::text, type, count(*) from pipeline_job_events group by 1, 2"); err != nil {
			return err
		}
		var id, typ string
		var n int
		_, err = pgx.ForEachRow(rows, []any{&id, &typ, &n}, func() error {
			if events[id] == nil {
				events[id] = map[string]int{}
			}
			events[id][typ] = n
			return nil
		})
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read jobs: %w", err)
	}
	return jobs, events, nil
}

// storeProgress is what the store knows, in numbers.
type storeProgress struct{ jobs, ended, events, notified int }

func (p *postgresServer) progress(ctx context.Context) (storeProgress, error) {
	var s storeProgress
	err := p.query(ctx, func(c *pgx.Conn) error {
		return c.QueryRow(ctx, `select count(*), count(*) filter (where status in ('COMPLETED', 'FAILED')),
			(select count(*) from pipeline_job_events), (select count(*) from pipeline_job_events where type = $1)
			from pipeline_jobs`, jobNotified).Scan(&s.jobs, &s.ended, &s.events, &s.notified)
	})
	if err != nil {
		return s, fmt.Errorf("read progress: %w", err)
	}
	return s, nil
}
