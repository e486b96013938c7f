package store

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPartsAreBoundedAndTakenOnce(t *testing.T) {
	t.Parallel()
	var p parts
	p.keep("none", part{runID: "r"})
	require.Empty(t, p.order)
	for _, id := range []string{"a", "b", "c", "b"} {
		p.keep(id, part{runID: "r", seen: keptRows / 3})
	}
	require.Equal(t, []string{"a", "c", "b"}, p.order)
	p.keep("d", part{runID: "r", seen: keptRows / 2})
	require.Equal(t, []string{"b", "d"}, p.order)
	require.LessOrEqual(t, p.seen, keptRows)
	require.Zero(t, p.take("b", "another run").seen)
	require.Equal(t, keptRows/2, p.take("d", "r").seen)
	require.Zero(t, p.take("d", "r").seen)
	require.Zero(t, p.seen)
	require.Empty(t, p.order)
	p.keep("e", part{runID: "r", seen: keptRows + 1})
	require.Empty(t, p.order)
}
