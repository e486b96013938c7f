package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/ncruces/go-sqlite3"

	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/jobstore/internal/fold"
)

// classify wraps what the database said in the sentinel that tells a caller
// what to do about it.
func classify(err error) error {
	var code sqlite3.ErrorCode
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return fmt.Errorf("%w: %w", jobstore.ErrUnavailable, err)
	case !errors.As(err, &code):
		return err
	}
	switch code {
	case sqlite3.BUSY, sqlite3.LOCKED, sqlite3.FULL, sqlite3.IOERR, sqlite3.READONLY, sqlite3.CANTOPEN, sqlite3.NOMEM, sqlite3.INTERRUPT, sqlite3.PROTOCOL:
		return fmt.Errorf("%w: %w", jobstore.ErrUnavailable, err)
	case sqlite3.CONSTRAINT, sqlite3.MISMATCH, sqlite3.TOOBIG, sqlite3.RANGE:
		return fmt.Errorf("%w: %w", fold.ErrRefused, err)
	}
	return err
}
