package ledger

import (
	"context"

	"github.com/zixly/sweepline/shared/job"
)

// Survey reads jobs of all tenants for whoever compares the ledger with what
// waits in Redis. Its jobs come without their rows but where it says so. Every
// page is one statement, which an index of open jobs alone serves, so that its
// cost does not depend on how many have ended. Errors are as those of Ledger.
type Survey interface {
	// UnfinishedPage returns the jobs that have not ended and stand after a
	// position, oldest first, at most limit of them. The zero Position is the
	// start; PositionOf the last job of a page leads to the next.
	UnfinishedPage(ctx context.Context, after Position, limit int) ([]job.Job, error)

	// UnannouncedPage returns, in the same way, the ended jobs of which no
	// JobNotified was seen, with their ten best rows.
	UnannouncedPage(ctx context.Context, after Position, limit int) ([]job.Job, error)

	// Lookup returns those of the jobs that the ledger knows, in any order. What
	// is no job id names no job.
	Lookup(ctx context.Context, jobIDs []string) ([]job.Job, error)
}

// PositionOf is where a job stands in a list by creation.
func PositionOf(j job.Job) Position { return Position{CreatedAt: j.CreatedAt, ID: j.JobID} }

// Names keeps those ids that can name a job, for a query that takes no others.
func Names(jobIDs []string) []string {
	out := make([]string, 0, len(jobIDs))
	for _, id := range jobIDs {
		if job.ValidID(id) {
			out = append(out, id)
		}
	}
	return out
}
