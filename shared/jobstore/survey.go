package jobstore

import (
	"context"

	"github.com/zixly/sweepline/shared/job"
)

// Survey reads jobs of all tenants for whoever compares the job store with what
// waits in Redis. Its cost depends on how many jobs are pending, not on how many
// have ended. Errors are as those of Store.
type Survey interface {
	// PendingPage returns the jobs that have not ended, and the ended ones of which
	// no JobNotified was seen that left nobody to be told, with their ten best rows: by id, which is about by
	// age, from the first after an id and at most limit of them. An empty id is
	// the start, and an empty page the end.
	PendingPage(ctx context.Context, after string, limit int) ([]job.Job, error)

	// Lookup returns those of the jobs that the job store knows, in any order, without
	// their rows. What is no job id names no job.
	Lookup(ctx context.Context, jobIDs []string) ([]job.Job, error)
}

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
