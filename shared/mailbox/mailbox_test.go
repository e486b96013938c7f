package mailbox_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/mailbox"
)

func TestATenantSeesItsOwnNewestFirst(t *testing.T) {
	t.Parallel()
	var b mailbox.Box
	require.Empty(t, b.Messages("a"))
	for _, id := range []string{"1", "2", "1"} { // a repeat takes the first one's place
		b.Put(mailbox.Message{JobID: id, TenantID: "a", Subject: "of " + id})
	}
	b.Put(mailbox.Message{JobID: "3", TenantID: "b"})
	mine := b.Messages("a")
	require.Len(t, mine, 2)
	require.Equal(t, "of 1", mine[0].Subject)
	_, ok := b.Message("a", "3")
	require.False(t, ok, "it is another tenant's")
	m, ok := b.Message("a", "2")
	require.True(t, ok)
	require.Equal(t, "of 2", m.Subject)
}

func TestItIsBounded(t *testing.T) {
	t.Parallel()
	var many, large mailbox.Box
	for i := range mailbox.MostMessages + 10 {
		many.Put(mailbox.Message{JobID: strconv.Itoa(i), TenantID: "a"})
		large.Put(mailbox.Message{JobID: strconv.Itoa(i), TenantID: "a", HTML: strings.Repeat("x", 1<<20)})
	}
	require.Len(t, many.Messages("a"), mailbox.MostMessages)
	require.Equal(t, strconv.Itoa(mailbox.MostMessages+9), many.Messages("a")[0].JobID, "the oldest went")
	require.Len(t, large.Messages("a"), mailbox.MostBytes>>20-1)
}
