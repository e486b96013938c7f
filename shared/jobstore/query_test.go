package jobstore_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/jobstore/jobstoretest"
)

func FuzzDecodePosition(f *testing.F) {
	f.Add(jobstore.Position{CreatedAt: jobstoretest.Start, ID: job.NewID()}.Encode())
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, cursor string) {
		p, ok, err := jobstore.DecodePosition(cursor)
		if err != nil {
			require.ErrorIs(t, err, jobstore.ErrCursor)
			return
		}
		require.Equal(t, cursor != "", ok)
		if ok {
			require.Equal(t, cursor, p.Encode())
		}
	})
}

func TestPageSize(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int]int{-1: jobstore.DefaultLimit, 0: jobstore.DefaultLimit, 7: 7, 1 << 40: jobstore.MaxLimit} {
		require.Equal(t, want, jobstore.Query{Limit: limit}.PageSize())
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	require.Equal(t, "ab", jobstore.Text("a\x00b", 10))
	require.Equal(t, "a", jobstore.Text("aé", 2), "a rune is not cut in half")
	require.Equal(t, "\uFFFDx", jobstore.Text("\xff\xfex", 10))
}

func FuzzDecodeScorePosition(f *testing.F) {
	at := jobstore.Position{CreatedAt: jobstoretest.Start, ID: job.NewID()}
	f.Add(jobstore.ScorePosition{Position: at, Scored: true, Score: 1.5}.Encode())
	f.Add(jobstore.ScorePosition{Position: at}.Encode())
	f.Add(at.Encode())
	f.Fuzz(func(t *testing.T, cursor string) {
		p, ok, err := jobstore.DecodeScorePosition(cursor)
		if err != nil {
			require.ErrorIs(t, err, jobstore.ErrCursor)
			return
		}
		require.Equal(t, cursor != "", ok)
		if ok {
			require.Equal(t, cursor, p.Encode())
		}
	})
}
