package function_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/function"
)

func TestClosers(t *testing.T) {
	t.Parallel()
	var closed []string
	open := func(fails error) (err error) {
		var c function.Closers
		defer c.CloseOnError(&err)
		for _, name := range []string{"a", "b"} {
			c.Add(func() error { closed = append(closed, name); return errors.New("close " + name) })
		}
		return fails
	}
	require.NoError(t, open(nil))
	require.Empty(t, closed)
	err := open(errors.New("no server"))
	require.Equal(t, []string{"b", "a"}, closed)
	for _, part := range []string{"no server", "close a", "close b"} {
		require.ErrorContains(t, err, part)
	}
}
