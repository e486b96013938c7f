package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/jobstore/internal/fold"
)

// SQLSTATE codes that are told apart. Whole classes go by their first two
// characters (PostgreSQL documentation, appendix A).
const (
	codeReadOnly      = "25006" // read_only_sql_transaction
	codeSerialization = "40001"
	codeDeadlock      = "40P01"
	codeLockTimeout   = "55P03" // lock_not_available
	codeCancelled     = "57014" // query_canceled: statement_timeout, or our deadline
	codeNoDatabase    = "3D000" // invalid_catalog_name: not created yet
	codeNoTable       = "42P01" // undefined_table
	codeNoStatement   = "26000" // invalid_sql_statement_name
	codeDoubleName    = "42P05" // duplicate_prepared_statement
	codeIdle          = "25P03" // idle_in_transaction_session_timeout
)

// classify wraps what the database said in the sentinel that tells a caller
// what to do about it.
func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case unavailable(err):
		return fmt.Errorf("%w: %w", jobstore.ErrUnavailable, err)
	case refused(err):
		return fmt.Errorf("%w: %w", fold.ErrRefused, err)
	}
	return err
}

// unavailable reports that the same call can succeed later without anybody
// changing it or the schema.
func unavailable(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		var connect *pgconn.ConnectError
		var network net.Error
		return errors.As(err, &connect) || errors.As(err, &network) || pgconn.SafeToRetry(err) || pgconn.Timeout(err) ||
			errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
			errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
	}
	switch pg.Code {
	case codeReadOnly, codeSerialization, codeDeadlock, codeLockTimeout, codeCancelled, codeNoDatabase, codeIdle:
		return true
	}
	switch class(pg) {
	case "08", "53", "58": // connection, resources (full disk, too many connections), system
		return true
	}
	return strings.HasPrefix(pg.Code, "57P") // shutdown, starting up
}

// refused reports that the database refuses a value of the statement: out of
// range, not encodable, too long for an index, breaking a constraint.
func refused(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	switch class(pg) {
	case "21", "22", "23", "54": // cardinality, data, integrity, program limit
		return true
	}
	return false
}

func class(pg *pgconn.PgError) string {
	if len(pg.Code) < 2 {
		return ""
	}
	return pg.Code[:2]
}

// stale reports that the connections of the pool may lead to a server that
// cannot be written any more: after a failover only new ones find the right one.
func stale(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == codeReadOnly || strings.HasPrefix(pg.Code, "57P"))
}

// unprepared reports that the session is not the one in which a statement was
// prepared. pgx names statements by their text, so no other can be mistaken for
// it.
func unprepared(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == codeNoStatement || pg.Code == codeDoubleName)
}

// contended reports that the statement lost a race for locks and is worth an
// immediate repeat.
func contended(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == codeSerialization || pg.Code == codeDeadlock)
}
