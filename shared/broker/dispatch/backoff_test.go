package dispatch

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRetryDelay(t *testing.T) {
	t.Parallel()
	const most = 5 * time.Minute
	for _, c := range []struct {
		policy BackoffPolicy
		delay  time.Duration
		want   []time.Duration
	}{
		// Attempts at 0, 2, 6 and 14 s.
		{BackoffExponential, 2 * time.Second, []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second}},
		{"", 2 * time.Second, []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second}},
		{BackoffLinear, 2 * time.Second, []time.Duration{2 * time.Second, 4 * time.Second, 6 * time.Second}},
		{BackoffExponential, 4 * time.Minute, []time.Duration{4 * time.Minute, most, most}},
		{BackoffLinear, 4 * time.Minute, []time.Duration{4 * time.Minute, most, most}},
		{BackoffExponential, 0, []time.Duration{0, 0, 0}},
	} {
		d := Delivery{BackoffPolicy: c.policy, BackoffDelay: c.delay}
		for i, want := range c.want {
			require.Equal(t, want, retryDelay(d, i+1, most, false), "%s %s, retry %d", c.policy, c.delay, i+1)
			require.LessOrEqual(t, retryDelay(d, i+1, most, true), want)
		}
		for _, n := range []int{1000, 1 << 40} { // a sink is asked for ever
			require.LessOrEqual(t, retryDelay(d, n, most, false), most)
			require.GreaterOrEqual(t, retryDelay(d, n, most, false), time.Duration(0))
		}
	}
}
