package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/jobstore/jobstoretest"
	"github.com/zixly/sweepline/shared/jobstore/sqlite"
)

func open(t testing.TB, file string) *sqlite.Store {
	t.Helper()
	l, err := sqlite.Open(context.Background(), file)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

func TestStore(t *testing.T) {
	t.Parallel()
	jobstoretest.Exercise(t, func(t *testing.T) jobstore.Store { return open(t, filepath.Join(t.TempDir(), "job store ?#%.db")) })
}

func BenchmarkStore(b *testing.B) {
	jobstoretest.Bench(b, func(b *testing.B) jobstore.Store { return open(b, filepath.Join(b.TempDir(), "jobs.db")) }, nil)
}

func BenchmarkOpen(b *testing.B) {
	file := filepath.Join(b.TempDir(), "jobs.db")
	for b.Loop() {
		l, err := sqlite.Open(b.Context(), file)
		require.NoError(b, err)
		require.NoError(b, l.Close())
	}
}

func TestWhatWasWrittenIsThereAgain(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "jobs.db")
	h := jobstoretest.Header("default")
	l, err := sqlite.Open(t.Context(), file)
	require.NoError(t, err)
	require.NoError(t, jobstore.Errors(l.Apply(t.Context(), jobstoretest.Life(t, h).Submitted)))
	require.NoError(t, l.Close())

	again := open(t, file)
	j, err := again.Job(t.Context(), "default", h.JobID)
	require.NoError(t, err)
	require.Equal(t, job.Running, j.Status)
	status, err := again.Status(t.Context())
	require.NoError(t, err)
	require.Len(t, status, 8)
	require.False(t, status[0].AppliedAt.IsZero())
	done, err := again.Migrate(t.Context())
	require.NoError(t, err)
	require.Empty(t, done)
}

// The write-ahead log is what lets a kill -9 lose nothing that Apply reported:
// a second connection sees it while the first is still open.
func TestASecondStoreOnTheSameFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "jobs.db")
	one, two := open(t, file), open(t, file)
	h := jobstoretest.Header("default")
	require.NoError(t, jobstore.Errors(one.Apply(t.Context(), jobstoretest.Life(t, h).Requested)))
	require.NoError(t, jobstore.Errors(two.Apply(t.Context(), jobstoretest.Life(t, h).Submitted)))
	j, err := one.Job(t.Context(), "default", h.JobID)
	require.NoError(t, err)
	require.Equal(t, job.Running, j.Status)
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	_, err := sqlite.Open(t.Context(), "")
	require.Error(t, err)
	_, err = sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "no", "folder.db"))
	require.ErrorContains(t, err, "folder.db")
}
