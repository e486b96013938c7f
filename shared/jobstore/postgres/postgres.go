// Package postgres keeps the job store in PostgreSQL, version 15 or later.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/jobstore/internal/group"
)

// Config is where the database is and how long to wait for it.
type Config struct {
	// DatabaseURL is a libpq URL or keyword string; pool_max_conns in it sizes
	// the pool (default: four, or the number of CPUs).
	DatabaseURL string `envconfig:"DATABASE_URL" required:"nonempty"`
	// Timeout bounds a read or a small write.
	Timeout time.Duration `envconfig:"DATABASE_TIMEOUT" default:"5s"`
	// BulkTimeout bounds the writing of a sweep's rows, and a migration.
	BulkTimeout time.Duration `envconfig:"DATABASE_BULK_TIMEOUT" default:"1m"`
	// Migrate brings the schema up to date before the first call. Turn it off
	// where the role may not change the schema, and run `sweepline migrate up`.
	Migrate bool `envconfig:"DATABASE_MIGRATE" default:"true"`
	// ReadKey seals the tenants that reads name, for a login in the role sweepline_sealed;
	// migrations have the database check seals by it. 16 bytes at least. Empty: no seals.
	ReadKey string `envconfig:"DATABASE_READ_KEY"`
	// ReadKeyOld is taken by the database as well, while ReadKey is exchanged.
	ReadKeyOld string `envconfig:"DATABASE_READ_KEY_OLD"`
}

// Store is a jobstore.Store on PostgreSQL.
type Store struct {
	cfg  Config
	pool *pgxpool.Pool
	// readKeys seal tenants: the first makes seals, the database takes all.
	readKeys []readKey
	schema   schema
	// Calls at the same time share statements.
	applies  group.Group[cloudevents.Event, jobstore.Applied]
	collects group.Group[jobstore.ResultPage, jobstore.Collection]
	looks    group.Group[job.Header, jobstore.Collection]
	// named is set while the statements that write are prepared by name, which
	// saves their parsing. A server that does not know one any more, since a
	// pooler stands in between, ends that for good.
	named atomic.Bool
	// writes is set once events or rows were written: from then on a database
	// that only reads is not enough.
	writes atomic.Bool
}

var _ jobstore.Store = (*Store)(nil)

// Bounds of one statement. An event is about a kilobyte; a page has up to 500
// rows of 200 bytes.
const (
	mostEvents = 256
	mostPages  = 16
)

// linger is how long calls gather under load. A statement takes about as long.
const linger = 3 * time.Millisecond

// patience is how long what nobody waits for gathers: a job's step is seen so much later
// in lists, and where jobs come one by one a transaction is for several of them.
const patience = 20 * time.Millisecond

// ends reports whether somebody waits for an event to be applied: it ends its job, and the
// message about that follows.
func ends(e cloudevents.Event) bool {
	return e.Type() == event.SweepCollected || e.Type() == event.SweepFailed
}

// Open makes a job store. It does no I/O: the database may be down at start, and
// is found when it comes up. Start says early what will never work.
func Open(ctx context.Context, cfg Config) (*Store, error) { return open(ctx, cfg, nil) }

// open is Open with a last word on the pool's configuration.
func open(ctx context.Context, cfg Config, tune func(*pgxpool.Config)) (*Store, error) {
	if cfg.Timeout <= 0 || cfg.BulkTimeout <= 0 {
		return nil, errors.New("DATABASE_TIMEOUT and DATABASE_BULK_TIMEOUT must be above zero")
	}
	pc, err := pgxpool.ParseConfig(cfg.DatabaseURL)
	if err != nil {
		// pgx masks the password in its error, but not every form of a URL.
		return nil, errors.New("DATABASE_URL must be a PostgreSQL URL or keyword string")
	}
	if pc.ConnConfig.ConnectTimeout == 0 {
		pc.ConnConfig.ConnectTimeout = cfg.Timeout
	}
	if pc.ConnConfig.RuntimeParams["application_name"] == "" {
		pc.ConnConfig.RuntimeParams["application_name"] = "sweepline"
	}
	l := &Store{cfg: cfg}
	if l.readKeys, err = readKeysOf(cfg); err != nil {
		return nil, err
	}
	l.applies = group.Group[cloudevents.Event, jobstore.Applied]{
		Run: l.apply, Most: mostEvents, Parallel: 2, Linger: linger, Urgent: ends, Patience: patience,
	}
	l.collects = group.Group[jobstore.ResultPage, jobstore.Collection]{Run: l.collect, Key: jobstore.ResultPage.Key, Most: mostPages, Parallel: 2, Linger: linger}
	l.looks = group.Group[job.Header, jobstore.Collection]{Run: l.collections, Most: mostEvents, Parallel: 1, Linger: linger}
	if !strings.Contains(cfg.DatabaseURL, "default_query_exec_mode") {
		// A pooler in transaction mode (PgBouncer) gives each transaction another
		// session, where a prepared statement is not known. What is called most is
		// a function, whose plans the session keeps all the same.
		pc.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
		l.named.Store(true)
	}
	if tune != nil {
		tune(pc)
	}
	if l.pool, err = pgxpool.NewWithConfig(ctx, pc); err != nil {
		return nil, fmt.Errorf("open pool: %w", err)
	}
	return l, nil
}

// Close waits for calls under way and closes all connections.
func (l *Store) Close() error {
	l.applies.Wait()
	l.collects.Wait()
	l.looks.Wait()
	l.pool.Close()
	return nil
}

// Ping reports whether the database answers, has its schema and, where this
// process writes, can be written.
func (l *Store) Ping(ctx context.Context) error {
	readOnly := false
	err := l.read(ctx, service, "select current_setting('transaction_read_only') = 'on', exists (select from pipeline_jobs)", nil, func(rows pgx.Rows) error {
		var any bool
		return rows.Scan(&readOnly, &any)
	})
	if err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	if readOnly && l.writes.Load() {
		l.pool.Reset()
		return fmt.Errorf("ping: %w: it is read-only", jobstore.ErrUnavailable)
	}
	return nil
}

// scope is whose rows a transaction sees.
type scope struct{ setting, value, seal string }

// service sees all tenants: events and recovery know no single one.
var service = scope{"sweepline.scope", "service", ""}

func (l *Store) tenant(id string) scope {
	s := scope{"sweepline.tenant", id, ""}
	if len(l.readKeys) > 0 {
		s.seal = l.readKeys[0].seal(id)
	}
	return s
}

// enter is the first statement of every read. The settings end with its
// transaction, so that a pooled connection never carries one tenant's view to
// the next. The functions that write open their scope themselves.
const (
	enter       = "select set_config($1, $2, true)"
	enterSealed = "select set_config($1, $2, true), set_config('sweepline.seal', $3, true)"
)

// enter queues the statement that opens the scope.
func (s scope) enter(b *pgx.Batch) {
	if s.seal == "" {
		b.Queue(enter, s.setting, s.value)
		return
	}
	b.Queue(enterSealed, s.setting, s.value, s.seal)
}

// read runs one query in a scope and hands each row to scan, all in one round
// trip: pgx sends a batch without a sync in between, which PostgreSQL takes as
// one transaction.
func (l *Store) read(ctx context.Context, s scope, sql string, args []any, scan func(pgx.Rows) error) error {
	if err := l.ready(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	var b pgx.Batch
	s.enter(&b)
	b.Queue(sql, args...).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			if err := scan(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	return l.judge(l.pool.SendBatch(ctx, &b).Close())
}

// contendedTries is how often a statement that lost a race for locks is sent.
const contendedTries = 4

// call runs one statement that is its own transaction, and repeats it where it
// lost a race for locks. take reads all rows; it may be called again.
func (l *Store) call(ctx context.Context, limit time.Duration, sql string, args []any, take func(pgx.Rows) error) error {
	if err := l.ready(ctx); err != nil {
		return err
	}
	l.writes.Store(true)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for try := 1; ; try++ {
		named := l.named.Load()
		err := l.query(ctx, named, sql, args, take)
		switch {
		case named && unprepared(err): // it was not executed
			l.named.Store(false)
			l.pool.Reset()
		case try == contendedTries || !contended(err):
			return l.judge(err)
		}
	}
}

func (l *Store) query(ctx context.Context, named bool, sql string, args []any, take func(pgx.Rows) error) error {
	if named {
		args = append([]any{pgx.QueryExecModeCacheStatement}, args...)
	}
	rows, err := l.pool.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	if err := take(rows); err != nil {
		return err
	}
	rows.Close()
	return rows.Err()
}

// judge classifies an error. Connections that lead to a server which has become
// read-only, or is going down, are dropped, so that the next call dials anew.
func (l *Store) judge(err error) error {
	if stale(err) {
		l.pool.Reset()
	}
	return classify(err)
}

// parameters are n of them: $1, $2, …
func parameters(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = "$" + strconv.Itoa(i+1)
	}
	return strings.Join(list, ", ")
}
