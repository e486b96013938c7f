package bench

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/zixly/sweepline/shared/servers"
)

// postgresServer is the private PostgreSQL of all runs: durable as installed, and
// counting statements.
type postgresServer struct {
	base  string // URL as the pipeline's role
	super *pgxpool.Pool
	pid   int
	made  int
	stop  func()
}

func startPostgres(ctx context.Context, dir string) (*postgresServer, error) {
	s, err := servers.StartPostgres(ctx, dir, "-c", "shared_preload_libraries=pg_stat_statements", "-c", "pg_stat_statements.track=all",
		"-c", "pg_stat_statements.save=off")
	if err != nil {
		return nil, fmt.Errorf("start postgresql: %w", err)
	}
	p := &postgresServer{base: s.URL, stop: s.Stop}
	if p.super, err = pgxpool.New(ctx, s.SuperURL+"&pool_max_conns=2"); err == nil {
		p.stop = func() {
			p.super.Close()
			s.Stop()
		}
		_, err = p.super.Exec(ctx, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
	}
	if err == nil {
		p.pid, err = readPid(filepath.Join(dir, "postmaster.pid"))
	}
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("prepare postgresql: %w", err)
	}
	return p, nil
}

// database is an empty one of the pipeline's role.
type database struct {
	url, name string
	// super reads it as superuser, whom row-level security lets pass.
	super *pgx.Conn
}

func (p *postgresServer) create(ctx context.Context) (*database, error) {
	p.made++
	d := &database{name: fmt.Sprintf("bench_%d", p.made)}
	if _, err := p.super.Exec(ctx, "CREATE DATABASE "+d.name+" OWNER "+servers.Owner); err != nil {
		return nil, fmt.Errorf("create database: %w", err)
	}
	for into, user := range map[*string]string{&d.url: servers.Owner, nil: "postgres"} {
		u, err := url.Parse(p.base)
		if err != nil {
			return nil, fmt.Errorf("read database URL: %w", err)
		}
		q := u.Query()
		q.Set("user", user)
		u.Path, u.RawQuery = "/"+d.name, q.Encode()
		if into != nil {
			*into = u.String()
			continue
		}
		if d.super, err = pgx.Connect(ctx, u.String()); err != nil {
			return nil, fmt.Errorf("connect to database: %w", err)
		}
	}
	return d, nil
}

func (p *postgresServer) drop(ctx context.Context, d *database) {
	_ = d.super.Close(ctx)
	_, _ = p.super.Exec(ctx, "DROP DATABASE "+d.name+" WITH (FORCE)")
}

// counts reads counters of the pipeline's statements: statements are those it sent,
// control is the part of them that begins and ends transactions or sets things,
// nested are those that functions and constraints ran; writes are transactions
// that wrote.
func (p *postgresServer) counts(ctx context.Context, d *database) (map[string]float64, error) {
	var statements, control, nested, rows, writes, wal float64
	err := p.super.QueryRow(ctx, `
SELECT coalesce(sum(calls) FILTER (WHERE toplevel), 0), coalesce(sum(calls) FILTER (WHERE toplevel AND query ~* '^\s*(begin|commit|rollback|set|select set_config)\y'), 0),
       coalesce(sum(calls) FILTER (WHERE NOT toplevel), 0), coalesce(sum(rows) FILTER (WHERE toplevel AND query ~* 'insert|update|delete'), 0),
       (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::float8), (SELECT pg_current_wal_lsn() - '0/0')::float8
FROM pg_stat_statements s JOIN pg_database b ON b.oid = s.dbid JOIN pg_roles r ON r.oid = s.userid
WHERE b.datname = $1 AND r.rolname = $2`, d.name, servers.Owner).Scan(&statements, &control, &nested, &rows, &writes, &wal)
	if err != nil {
		return nil, fmt.Errorf("read statement counters: %w", err)
	}
	return map[string]float64{"statements": statements, "control": control, "nested": nested, "rows": rows, "writes": writes, "wal": wal}, nil
}

// statements are the pipeline's statements so far, in one line each, and how often
// each was run.
func (p *postgresServer) statements(ctx context.Context, d *database) (map[string]float64, error) {
	rows, err := p.super.Query(ctx, `
SELECT 'SQL ' || left(regexp_replace(btrim(query), '\s+', ' ', 'g'), 70), sum(calls)::float8
FROM pg_stat_statements s JOIN pg_database b ON b.oid = s.dbid JOIN pg_roles r ON r.oid = s.userid
WHERE b.datname = $1 AND r.rolname = $2 AND toplevel GROUP BY 1`, d.name, servers.Owner)
	if err != nil {
		return nil, fmt.Errorf("list statements: %w", err)
	}
	n := map[string]float64{}
	var text string
	var calls float64
	if _, err := pgx.ForEachRow(rows, []any{&text, &calls}, func() error { n[text] = calls; return nil }); err != nil {
		return nil, fmt.Errorf("list statements: %w", err)
	}
	return n, nil
}

// events is how many lines the timelines have.
func (d *database) events(ctx context.Context) (int, error) {
	var n int
	if err := d.super.QueryRow(ctx, "SELECT count(*) FROM pipeline_job_events").Scan(&n); err != nil {
		return 0, fmt.Errorf("count timeline: %w", err)
	}
	return n, nil
}

// fill adds n copies of a completed job, one a second into the past, with the rows and the
// timeline of none.
func (d *database) fill(ctx context.Context, n int) error {
	var columns string
	err := d.super.QueryRow(ctx, `SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns
		WHERE table_schema = 'public' AND table_name = 'pipeline_jobs' AND is_generated = 'NEVER' AND column_name NOT IN ('id', 'created_at')`).Scan(&columns)
	if err != nil {
		return fmt.Errorf("list columns: %w", err)
	}
	made, err := d.super.Exec(ctx, `INSERT INTO pipeline_jobs (id, created_at, `+columns+`) SELECT gen_random_uuid(), created_at - g * interval '1 second', `+columns+
		` FROM (SELECT * FROM pipeline_jobs WHERE status::text = 'COMPLETED' LIMIT 1) AS done, generate_series(1, $1) AS g`, n)
	if err == nil && made.RowsAffected() != int64(n) {
		err = fmt.Errorf("%d of %d jobs are there", made.RowsAffected(), n)
	}
	if err != nil {
		return fmt.Errorf("fill database: %w", err)
	}
	if _, err = d.super.Exec(ctx, "VACUUM ANALYZE pipeline_jobs"); err != nil {
		return fmt.Errorf("fill database: %w", err)
	}
	return nil
}

// completed is how many jobs have ended well, and how many there are.
func (d *database) completed(ctx context.Context) (done, all int, err error) {
	err = d.super.QueryRow(ctx, "SELECT count(*) FILTER (WHERE status::text = 'COMPLETED'), count(*) FROM pipeline_jobs").Scan(&done, &all)
	if err != nil {
		return 0, 0, fmt.Errorf("count jobs: %w", err)
	}
	return done, all, nil
}
