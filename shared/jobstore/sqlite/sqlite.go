// Package sqlite keeps the job store in one SQLite file: the embedded mode of the
// local runner. Function binaries link jobstore/postgres alone.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	_ "github.com/ncruces/go-sqlite3/driver" // registers "sqlite3"

	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/jobstore/internal/group"
)

// Deadlines under the caller's own. A write waits for those before it.
const (
	readTimeout  = 30 * time.Second
	writeTimeout = time.Minute
)

// Store is a jobstore.Store on a SQLite file. One connection writes, since
// SQLite takes one writer at a time; others read beside it (write-ahead log).
// What Apply and Collect have stored is on disk (synchronous=FULL).
type Store struct {
	writer, reader *sql.DB
	stmts          statements
	// Calls at the same time share a transaction and its fsync.
	applies  group.Group[cloudevents.Event, jobstore.Applied]
	collects group.Group[jobstore.ResultPage, jobstore.Collection]
}

var _ jobstore.Store = (*Store)(nil)

// Open opens the file, or makes it, and brings its schema up to date. Its
// folder must exist. Only one process should write at a time; a second one
// waits five seconds for the first.
func Open(ctx context.Context, file string) (*Store, error) {
	if file == "" {
		return nil, errors.New("sqlite: file name is required")
	}
	if err := private(file); err != nil {
		return nil, err
	}
	writer, err := sql.Open("sqlite3", dsn(file, "journal_mode(wal)", "synchronous(full)", "foreign_keys(on)"))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", file, err)
	}
	writer.SetMaxOpenConns(1)
	l := &Store{writer: writer}
	l.applies = group.Group[cloudevents.Event, jobstore.Applied]{Run: l.apply, Most: 256, Parallel: 1}
	l.collects = group.Group[jobstore.ResultPage, jobstore.Collection]{Run: l.collect, Most: 16, Parallel: 1}
	if err := l.prepare(ctx, file); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", file, err), l.Close())
	}
	return l, nil
}

// private makes the file readable by its owner only. SQLite gives the files
// beside it (-wal, -shm) the mode of the first one; those that an earlier
// release made are narrowed.
func private(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make %s: %w", file, err)
	}
	for _, name := range []string{file, file + "-wal", file + "-shm"} {
		info, err := os.Stat(name)
		if errors.Is(err, os.ErrNotExist) || err == nil && info.Mode().Perm()&0o077 == 0 {
			continue
		}
		if err == nil {
			err = os.Chmod(name, 0o600)
		}
		if err != nil {
			return fmt.Errorf("make %s private: %w", name, err)
		}
	}
	return nil
}

func (l *Store) prepare(ctx context.Context, file string) error {
	if _, err := l.Migrate(ctx); err != nil {
		return err
	}
	var err error
	if l.stmts, err = prepareAll(ctx, l.writer); err != nil {
		return err
	}
	if l.reader, err = sql.Open("sqlite3", dsn(file, "query_only(on)")); err != nil {
		return err
	}
	readers := max(4, runtime.NumCPU())
	l.reader.SetMaxOpenConns(readers)
	l.reader.SetMaxIdleConns(readers)
	return nil
}

// dsn is a file URI. The busy timeout comes first: the other pragmas may have
// to wait as well.
func dsn(file string, pragmas ...string) string {
	q := url.Values{"_pragma": append([]string{"busy_timeout(5000)", "temp_store(memory)"}, pragmas...)}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: file}).EscapedPath(), RawQuery: q.Encode()}).String()
}

// Ping reports whether the file answers.
func (l *Store) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var n int
	if err := l.reader.QueryRowContext(ctx, "select count(*) from (select 1 from pipeline_jobs limit 1)").Scan(&n); err != nil {
		return fmt.Errorf("ping: %w", classify(err))
	}
	return nil
}

// Start has nothing left to do: Open has brought the schema up to date.
func (l *Store) Start(ctx context.Context) error { return l.Ping(ctx) }

// Close waits for calls under way and closes the file.
func (l *Store) Close() error {
	l.applies.Wait()
	l.collects.Wait()
	err := l.stmts.close()
	if l.reader != nil {
		err = errors.Join(err, l.reader.Close())
	}
	return errors.Join(err, l.writer.Close())
}

// inTx runs f in the one write transaction at a time. f sees l's prepared
// statements bound to it.
func (l *Store) inTx(ctx context.Context, f func(context.Context, *sql.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	tx, err := l.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", classify(err))
	}
	if err := f(ctx, tx); err != nil {
		_ = tx.Rollback() // the database does so by itself where this fails
		return classify(err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", classify(err))
	}
	return nil
}
