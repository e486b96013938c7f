package function

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAddress(t *testing.T) {
	t.Parallel()
	for want, l := range map[string]listener{
		"127.0.0.1:8080": {Port: 8080},
		"[::]:9000":      {Port: 9000, Service: "receive"},
		"[::]:9001":      {Port: 9001, Cluster: "10.0.0.1"},
		"[::1]:7":        {Port: 9001, Service: "receive", Address: "[::1]:7"},
	} {
		require.Equal(t, want, l.address())
	}
}
