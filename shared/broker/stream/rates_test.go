package stream

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// What became of deliveries is added up by hour and by day, and told within a fifth.
func TestRates(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, url string) {
		store, client := open(t, url)
		b := Broker{"n", "b-" + uuid.NewString()}
		counted := func() map[string]*Rate {
			r := &Rate{Failed: 2}
			for i := range 20 {
				r.Deliver(time.Duration(i+1) * 100 * time.Millisecond)
			}
			return map[string]*Rate{"t.1": r, "t.2": {DeadLettered: 1}}
		}
		require.NoError(t, store.AddRates(t.Context(), b, counted()))
		rates, err := store.Rates(t.Context(), b, Daily, time.Now(), 2)
		require.NoError(t, err)
		require.Equal(t, []map[string]*Rate{{}, {}}, rates, "a broker that is gone does not come back")

		_, err = store.Register(t.Context(), b, 1, RouteSet{Triggers: []Registration{registration("t.1", "x")}})
		require.NoError(t, err)
		require.NoError(t, store.AddRates(t.Context(), b, counted()))
		require.NoError(t, store.AddRates(t.Context(), b, counted()))
		require.NoError(t, store.AddRates(t.Context(), b, map[string]*Rate{"t.1": {}}))
		for _, of := range []RatePeriod{Hourly, Daily} {
			rates, err = store.Rates(t.Context(), b, of, time.Now(), 2)
			require.NoError(t, err)
			sum := &Rate{}
			for _, r := range rates { // the hour may have ended meanwhile
				if r["t.1"] != nil {
					sum.Add(r["t.1"])
				}
				if r["t.2"] != nil {
					sum.Add(r["t.2"])
				}
			}
			require.EqualValues(t, 40, sum.Delivered)
			require.EqualValues(t, 4, sum.Failed)
			require.EqualValues(t, 2, sum.DeadLettered)
			require.InEpsilon(t, time.Second, sum.Quantile(.5), .2)
			require.InEpsilon(t, 1900*time.Millisecond, sum.Quantile(.95), .2)
		}
		found, err := client.Keys(t.Context(), "*{"+b.String()+"/0}:rates:*").Result()
		require.NoError(t, err)
		require.NotEmpty(t, found)
		for _, key := range found {
			left, err := client.PTTL(t.Context(), key).Result()
			require.NoError(t, err)
			require.Greater(t, left, 24*time.Hour, "kept as long as it is told of")
		}
		require.NoError(t, store.Purge(t.Context(), b))
		require.NoError(t, store.AddRates(t.Context(), b, counted()))
		found, err = client.Keys(t.Context(), "*{"+b.String()+"/0}:*").Result()
		require.NoError(t, err)
		require.Empty(t, found)
	})
}

func TestLatencySteps(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{0, time.Millisecond, 3 * time.Millisecond, time.Second, time.Hour, 30 * 24 * time.Hour} {
		r := &Rate{}
		r.Deliver(d)
		require.GreaterOrEqual(t, r.Quantile(.5), d-time.Nanosecond)
		require.LessOrEqual(t, r.Quantile(.5), max(d*6/5, time.Millisecond))
	}
	require.Zero(t, (&Rate{}).Quantile(.5))
	require.Equal(t, map[string]*Rate{"t": {Delivered: 1, latencies: map[int]int64{}}}, decodeRates(map[string]string{"t/ok": "1", "t/x": "1", "t": "1", "t/2": "-1"}))
}
