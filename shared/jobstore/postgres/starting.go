package postgres

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// cannotConnectNow is what PostgreSQL answers while it starts, recovers or stops.
const cannotConnectNow = "57P03"

// Starting reports whether an error is PostgreSQL's word that it cannot be used
// yet: it will be soon, after a crash when it has replayed its log.
func Starting(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == cannotConnectNow
}
