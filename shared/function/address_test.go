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

func TestMetricsAddress(t *testing.T) {
	t.Parallel()
	none, some := uint16(0), uint16(9999)
	for _, c := range []struct {
		l    listener
		want string
	}{
		{listener{Port: 8080}, ""},
		{listener{Port: 8080, MetricsPort: &none, Service: "receive"}, ""},
		{listener{Port: 8080, MetricsPort: &some}, "127.0.0.1:9999"},
		{listener{Port: 8080, Service: "receive"}, "[::]:9464"},
		{listener{Port: 8080, Cluster: "10.0.0.1", MetricsPort: &some, Address: "[::1]:7"}, "[::]:9999"},
	} {
		require.Equal(t, c.want, c.l.metricsAddress())
	}
}
