package wait

import (
	"errors"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/redisclient"
)

func TestHeaderIsCompact(t *testing.T) {
	t.Parallel()
	h := job.Header{
		JobID: job.NewID(), TenantID: "acme-capital", JobType: job.Type, CreatedAt: time.UnixMilli(1772366400123).UTC(),
		Parameters: job.Sweep{Ticker: "BTC-USD", FastRange: [2]int{5, 50}, SlowRange: [2]int{20, 200}, Step: 5, MinTrades: 50, StrategyType: job.MACD, ConfigPath: "standard"},
	}
	s, err := encodeHeader(h)
	require.NoError(t, err)
	require.LessOrEqual(t, len(s), 64, "what is longer costs Redis a whole table a record")
	back, err := decodeHeader(h.JobID, s)
	require.NoError(t, err)
	require.Equal(t, h, back)
	h.RetryOf = job.NewID()
	s, err = encodeHeader(h)
	require.NoError(t, err)
	back, err = decodeHeader(h.JobID, s)
	require.NoError(t, err)
	require.Equal(t, h, back)
	h.RetryOf = "x"
	_, err = encodeHeader(h)
	require.Error(t, err)
}

// Headers of version 1 must be readable for ever: records outlive a rollout. One of a
// later version is for its processes.
func TestHeaderVersions(t *testing.T) {
	t.Parallel()
	h, err := decodeHeader("x", "\x01\xf6\xa9\xa8\x94\x95g\nd(\x90\x03\nd\x00\x14acme-capital\x04\x06\x0fBTC-USD")
	require.NoError(t, err)
	require.Equal(t, job.Header{
		JobID: "x", TenantID: "acme-capital", JobType: job.Type, CreatedAt: time.UnixMilli(1772366400123).UTC(),
		Parameters: job.Sweep{Ticker: "BTC-USD", FastRange: [2]int{5, 50}, SlowRange: [2]int{20, 200}, Step: 5, MinTrades: 50, StrategyType: job.MACD, ConfigPath: "standard"},
	}, h)
	h.RetryOf, h.GroupID, h.Labels = job.NewID(), job.NewID(), []string{"desk=eu", "weekly"}
	for _, version := range []string{"\x02", "\x02", "\x03", "\x03"} {
		if version == "\x03" {
			h.NotifyURL = "https://hooks.example.com/a"
		}
		s, err := encodeHeader(h)
		require.NoError(t, err)
		require.Equal(t, version, s[:1])
		back, err := decodeHeader("x", s)
		require.NoError(t, err)
		require.Equal(t, h, back)
		for cut := range len(s) {
			_, err := decodeHeader("x", s[:cut])
			require.ErrorIs(t, err, errHeader)
		}
		h.RetryOf, h.Labels = "", nil
	}
	h.GroupID = ""
	s, err := encodeHeader(h)
	require.NoError(t, err)
	require.Equal(t, "\x03", s[:1], "with nothing else to say")
	_, err = decodeHeader("x", "\x04whatever")
	require.ErrorIs(t, err, ErrNewer)
	require.True(t, Unavailable(err))
	_, err = decodeHeader("x", "\x00whatever")
	require.ErrorIs(t, err, errHeader)
}

func FuzzHeader(f *testing.F) {
	f.Add("acme", "DAX", "SMA", 10, int64(1772366400123))
	f.Add("default", "", "sma", -1, int64(-5))
	f.Fuzz(func(t *testing.T, tenant, ticker, strategy string, n int, ms int64) {
		h := job.Header{JobID: "x", TenantID: tenant, JobType: job.Type, CreatedAt: time.UnixMilli(ms).UTC(),
			Parameters: job.Sweep{Ticker: ticker, StrategyType: strategy, FastRange: [2]int{n, -n}, SlowRange: [2]int{n, n}, Step: n, MinTrades: n}}
		s, err := encodeHeader(h)
		if err != nil {
			return
		}
		back, err := decodeHeader("x", s)
		require.NoError(t, err)
		require.Equal(t, h, back)
	})
}

func FuzzDecodeHeader(f *testing.F) {
	f.Add("\x01")
	f.Add("")
	f.Add("\x02\xf6\xa9\xa8\x94\x95g\nd(\x90\x03\nd\x00\x14acme-capital\x04\x06\x0fBTC-USD\x00\x01\x0eweekly")
	f.Add("\x03\xf6\xa9\xa8\x94\x95g\nd(\x90\x03\nd\x00\x14acme-capital\x04\x06\x0fBTC-USD\x00\x00\x11https://a")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := decodeHeader("x", s)
		if err != nil {
			require.Zero(t, h)
		}
	})
}

func TestPlacesSortByTime(t *testing.T) {
	t.Parallel()
	at := func(ms int64, id string) string {
		return position(job.Header{TenantID: "a", CreatedAt: time.UnixMilli(ms)}, id)
	}
	require.Less(t, at(999, "0123456789abcdef"), at(1000, "0123456789abcdef"))
	require.Less(t, at(1, "zzzzzzzzzzzzzzzz"), at(2, "0123456789abcdef"))
}

// TestScriptsReadTheTenant: the scripts find it where encodeHeader puts it, and bear
// what is no header.
func TestScriptsReadTheTenant(t *testing.T) {
	t.Parallel()
	client := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
	defer client.Close()
	script := redis.NewScript(library() + redisclient.Lua(&sources, "share") + "return tenant_of(ARGV[3])")
	read := func(header string) (string, error) {
		return script.Run(t.Context(), client, []string{"x:{w}:"}, "", "0,0,0,0,0,0,0,0,0,0,0", header).Text()
	}
	text := rapid.OneOf(rapid.SampledFrom(headerWords), rapid.StringMatching(`[A-Za-z0-9._-]{1,64}`), rapid.StringN(0, 300, 900))
	number := rapid.OneOf(rapid.IntRange(-70, 70), rapid.Int())
	rapid.Check(t, func(t *rapid.T) {
		h := job.Header{
			JobID: job.NewID(), JobType: text.Draw(t, "type"), TenantID: rapid.OneOf(
				rapid.Just(job.DefaultTenant), rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9._-]{0,63}`)).Draw(t, "tenant"),
			CreatedAt: time.UnixMilli(rapid.Int64Range(-1e15, 1e15).Draw(t, "created")).UTC(),
		}
		p := &h.Parameters
		p.Ticker, p.StrategyType, p.ConfigPath = text.Draw(t, "ticker"), text.Draw(t, "strategy"), text.Draw(t, "path")
		for _, n := range []*int{&p.FastRange[0], &p.FastRange[1], &p.SlowRange[0], &p.SlowRange[1], &p.Step, &p.MinTrades} {
			*n = number.Draw(t, "number")
		}
		if rapid.Bool().Draw(t, "labelled") {
			h.GroupID, h.Labels = job.NewID(), []string{"weekly"}
		}
		if rapid.Bool().Draw(t, "notified") {
			h.NotifyURL = "https://hooks.example.com/a"
		}
		s, err := encodeHeader(h)
		require.NoError(t, err)
		tenant, err := read(s)
		require.NoError(t, err)
		require.Equal(t, h.TenantID, tenant)
		cut := s[:rapid.IntRange(0, len(s)).Draw(t, "cut")]
		if _, err := read(cut); err != nil && !errors.Is(err, redis.Nil) {
			require.NoError(t, err, "%q", cut)
		}
	})
	_, err := read(string(rune(1)) + "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
	if err != nil {
		require.ErrorIs(t, err, redis.Nil)
	}
}
