package main

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/servers/servertest"
)

// Two processes take a Trigger away while one of them reads for it.
func TestARemovedTriggersGroupStaysGone(t *testing.T) {
	url := servertest.Redis(t)
	a, b := setup(t, url, "removal"), setup(t, url, "removal")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.server.Run(ctx) }()
	for i := range 50 {
		g := int64(2*i + 1)
		for _, x := range []*bundle{a, b} {
			x.write(x.contract(g, "one"))
			require.NoError(t, x.take(t.Context()))
		}
		for _, x := range []*bundle{a, b} {
			x.write(x.contract(g + 1))
			require.NoError(t, x.take(t.Context()))
		}
		require.Empty(t, b.groups(), "a reader that met the missing group has made it again")
	}
	cancel()
	require.NoError(t, <-done)
}
