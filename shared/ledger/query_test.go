package ledger_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/ledger"
	"github.com/zixly/sweepline/shared/ledger/ledgertest"
)

func FuzzDecodePosition(f *testing.F) {
	f.Add(ledger.Position{CreatedAt: ledgertest.Start, ID: job.NewID()}.Encode())
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, cursor string) {
		p, ok, err := ledger.DecodePosition(cursor)
		if err != nil {
			require.ErrorIs(t, err, ledger.ErrCursor)
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
	for limit, want := range map[int]int{-1: ledger.DefaultLimit, 0: ledger.DefaultLimit, 7: 7, 1 << 40: ledger.MaxLimit} {
		require.Equal(t, want, ledger.Query{Limit: limit}.PageSize())
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	require.Equal(t, "ab", ledger.Text("a\x00b", 10))
	require.Equal(t, "a", ledger.Text("aé", 2), "a rune is not cut in half")
	require.Equal(t, "\uFFFDx", ledger.Text("\xff\xfex", 10))
}
