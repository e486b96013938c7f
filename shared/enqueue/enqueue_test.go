package enqueue_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/enqueue"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/quota"
	"github.com/zixly/sweepline/shared/sink"
	"github.com/zixly/sweepline/shared/telemetry"
	"github.com/zixly/sweepline/shared/wait"
)

var moment = time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.UTC)

var sweep = job.Sweep{Ticker: "DAX", FastRange: [2]int{10, 50}, SlowRange: [2]int{20, 200}, Step: 5, MinTrades: 50, StrategyType: "SMA"}

// book answers as told and writes down, in one order with outbox, what it saw.
type book struct {
	mu     sync.Mutex
	log    *[]string
	prints []string
	shares []wait.Shares
	answer func(job.Header) (wait.Acceptance, error)
}

// Key knows no earlier use.
func (b *book) Key(_ context.Context, _, _, candidate string) (string, error) { return candidate, nil }

func (b *book) Accept(_ context.Context, h job.Header, fingerprint string, shares ...wait.Shares) (wait.Acceptance, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	*b.log = append(*b.log, "record")
	b.prints = append(b.prints, fingerprint)
	b.shares = shares
	return b.answer(h)
}

func (b *book) MarkRefused(context.Context, string) error {
	*b.log = append(*b.log, "mark refused")
	return nil
}

type outbox struct {
	log  *[]string
	sent []cloudevents.Event
	err  error
}

func (o *outbox) Send(_ context.Context, es ...cloudevents.Event) error {
	*o.log = append(*o.log, "send")
	o.sent = append(o.sent, es...)
	return o.err
}

func setup(t *testing.T) (*enqueue.Enqueuer, *book, *outbox) {
	t.Helper()
	var log []string
	b := &book{log: &log, answer: func(h job.Header) (wait.Acceptance, error) { return wait.Acceptance{Header: h}, nil }}
	o := &outbox{log: &log}
	in, err := enqueue.New(b, o, func() time.Time { return moment })
	require.NoError(t, err)
	return in, b, o
}

func TestTakeRecordsAndThenSends(t *testing.T) {
	t.Parallel()
	in, b, o := setup(t)
	ctx := telemetry.Start(t.Context())
	got, err := in.Enqueue(ctx, enqueue.Request{Tenant: "acme", Key: "k", Sweep: sweep, RetryOf: "old"})
	require.NoError(t, err)
	require.Equal(t, []string{"record", "send"}, *b.log)
	require.Equal(t, job.DeriveID("acme", "k", moment), got.Header.JobID)
	e := o.sent[0]
	require.Equal(t, event.SweepRequested, e.Type())
	require.Equal(t, got.Header.JobID+"/requested", e.ID())
	require.Contains(t, e.Extensions()["traceparent"], telemetry.TraceID(ctx))
	d, err := event.Data[event.Requested](e)
	require.NoError(t, err)
	require.Equal(t, got.Header, d.Header)
	require.Equal(t, "old", d.RetryOf)
}

// A client that was told 503 comes again with another job, unless it has a key:
// the first must not run as well. What may be stored may run.
func TestARefusedJobIsCalledOff(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err      error
		replayed bool
		want     []string
	}{
		"full":          {err: &sink.Unavailable{Status: 503, Err: &sink.Refused{Status: 503}}, want: []string{"record", "send", "mark refused"}},
		"refused":       {err: &sink.Refused{Status: 413}, want: []string{"record", "send", "mark refused"}},
		"no answer":     {err: &sink.Unavailable{Err: errors.New("timeout")}, want: []string{"record", "send"}},
		"a proxy":       {err: &sink.Unavailable{Status: 504, Err: &sink.Refused{Status: 504}}, want: []string{"record", "send"}},
		"a replay":      {err: &sink.Unavailable{Status: 503, Err: &sink.Refused{Status: 503}}, replayed: true, want: []string{"record", "send"}},
		"taken at once": {want: []string{"record", "send"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in, b, o := setup(t)
			b.answer = func(h job.Header) (wait.Acceptance, error) {
				return wait.Acceptance{Header: h, Replayed: c.replayed}, nil
			}
			o.err = c.err
			_, err := in.Enqueue(t.Context(), enqueue.Request{Tenant: "acme", Key: "k", Sweep: sweep})
			require.Equal(t, c.err != nil, err != nil)
			require.Equal(t, c.want, *b.log)
		})
	}
}

func TestAGroupIsTakenWhole(t *testing.T) {
	t.Parallel()
	in, b, o := setup(t)
	r := enqueue.Request{Tenant: "acme", Key: "k", Sweep: sweep, Labels: []string{"weekly"}, NotifyURL: "https://hooks.example.com/a"}
	got, err := in.EnqueueGroup(t.Context(), r, []string{"DAX", "SMI", "CAC"})
	require.NoError(t, err)
	require.Equal(t, []string{"record", "record", "record", "send"}, *b.log, "no event before the last record")
	group := job.DeriveID("acme", "k", moment)
	for n, ticker := range []string{"DAX", "SMI", "CAC"} {
		h := got[n].Header
		require.Equal(t, group, h.GroupID)
		require.Equal(t, ticker, h.Parameters.Ticker)
		require.Equal(t, []string{"weekly"}, h.Labels)
		require.Equal(t, "https://hooks.example.com/a", h.NotifyURL)
		require.Equal(t, h.JobID+"/requested", o.sent[n].ID())
		if n == 0 {
			require.Equal(t, group, h.JobID)
		} else {
			require.Equal(t, job.MemberID(group, ticker), h.JobID)
		}
		require.Equal(t, b.prints[0], b.prints[n])
	}
	// The same key for one of them, for others, or in another order is another request.
	for _, other := range [][]string{{"DAX", "SMI"}, {"DAX", "CAC", "SMI"}, {"SMI"}} {
		b.prints = append(b.prints[:0:0], b.prints[0])
		_, err := in.EnqueueGroup(t.Context(), r, other)
		require.NoError(t, err)
		require.NotEqual(t, b.prints[0], b.prints[1])
	}
	b.prints = b.prints[:1]
	_, err = in.Enqueue(t.Context(), r)
	require.NoError(t, err)
	require.NotEqual(t, b.prints[0], b.prints[1])
	r.Labels = nil
	_, err = in.Enqueue(t.Context(), r)
	require.NoError(t, err)
	require.NotEqual(t, b.prints[1], b.prints[2], "labels are part of what is asked for")
	r.NotifyURL = ""
	_, err = in.Enqueue(t.Context(), r)
	require.NoError(t, err)
	require.NotEqual(t, b.prints[2], b.prints[3], "and so is the address")
}

func TestAGroupThatIsNotTakenIsCalledOff(t *testing.T) {
	t.Parallel()
	group := []string{"DAX", "SMI", "CAC"}
	for name, c := range map[string]struct {
		answer func(h job.Header) (wait.Acceptance, error)
		send   error
		want   []string
		is     error
	}{
		"a store is away": {
			answer: func(h job.Header) (wait.Acceptance, error) {
				if h.Parameters.Ticker == "CAC" {
					return wait.Acceptance{}, errGone
				}
				return wait.Acceptance{Header: h}, nil
			},
			want: []string{"record", "record", "record", "mark refused", "mark refused"}, is: errGone,
		},
		"another request's key": {
			answer: func(h job.Header) (wait.Acceptance, error) { return wait.Acceptance{Header: h, Conflict: true}, nil },
			want:   []string{"record"}, is: enqueue.ErrConflict,
		},
		"what was there before stays": {
			answer: func(h job.Header) (wait.Acceptance, error) {
				return wait.Acceptance{Header: h, Replayed: h.Parameters.Ticker == "SMI", Full: h.Parameters.Ticker == "CAC"}, nil
			},
			want: []string{"record", "record", "record", "mark refused"},
		},
		"the broker is full": {
			send: &sink.Unavailable{Status: 503, Err: &sink.Refused{Status: 503}},
			want: []string{"record", "record", "record", "send", "mark refused", "mark refused", "mark refused"},
		},
		"nobody knows": {send: &sink.Unavailable{Err: errGone}, want: []string{"record", "record", "record", "send"}, is: errGone},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in, b, o := setup(t)
			if c.answer != nil {
				b.answer = c.answer
			}
			o.err = c.send
			_, err := in.EnqueueGroup(t.Context(), enqueue.Request{Tenant: "acme", Key: "k", Sweep: sweep}, group)
			require.Error(t, err)
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}
			require.Equal(t, c.want, *b.log)
		})
	}
}

var errGone = errors.New("gone")

func TestWithoutAKeyEveryRequestIsANewJob(t *testing.T) {
	t.Parallel()
	in, _, _ := setup(t)
	one, err := in.Enqueue(t.Context(), enqueue.Request{Tenant: "acme", Sweep: sweep})
	require.NoError(t, err)
	two, err := in.Enqueue(t.Context(), enqueue.Request{Tenant: "acme", Sweep: sweep})
	require.NoError(t, err)
	require.NotEqual(t, one.Header.JobID, two.Header.JobID)
}

func TestAReplaySendsTheFirstHeaderAgain(t *testing.T) {
	t.Parallel()
	in, b, o := setup(t)
	first := job.Header{JobID: job.DeriveID("acme", "k", moment), TenantID: "acme", JobType: job.Type, Parameters: sweep, CreatedAt: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)}
	b.answer = func(job.Header) (wait.Acceptance, error) { return wait.Acceptance{Header: first, Replayed: true}, nil }
	got, err := in.Enqueue(t.Context(), enqueue.Request{Tenant: "acme", Key: "k", Sweep: sweep})
	require.NoError(t, err)
	require.Equal(t, enqueue.Accepted{Header: first, Replayed: true}, got)
	require.Len(t, o.sent, 1)
	require.Equal(t, first.CreatedAt, o.sent[0].Time())
}

func TestNothingIsSentWithoutARecord(t *testing.T) {
	t.Parallel()
	in, b, o := setup(t)
	b.answer = func(h job.Header) (wait.Acceptance, error) { return wait.Acceptance{Header: h, Conflict: true}, nil }
	_, err := in.Enqueue(t.Context(), enqueue.Request{Tenant: "acme", Key: "k", Sweep: sweep})
	require.ErrorIs(t, err, enqueue.ErrConflict)
	gone := errors.New("gone")
	b.answer = func(job.Header) (wait.Acceptance, error) { return wait.Acceptance{}, gone }
	_, err = in.Enqueue(t.Context(), enqueue.Request{Tenant: "acme", Key: "k", Sweep: sweep})
	require.ErrorIs(t, err, gone)
	require.Empty(t, o.sent)
}

func TestNothingIsTakenThatWasNotSent(t *testing.T) {
	t.Parallel()
	in, _, o := setup(t)
	o.err = errors.New("full")
	_, err := in.Enqueue(t.Context(), enqueue.Request{Tenant: "acme", Sweep: sweep})
	require.ErrorIs(t, err, o.err)
}

func TestFingerprints(t *testing.T) {
	t.Parallel()
	in, b, _ := setup(t)
	spaced, err := job.ParseRequest([]byte(`{ "step":5, "slow_range":[20,200],"fast_range":[10,50],"ticker":"DAX" }`))
	require.NoError(t, err)
	other := sweep
	other.Step = 6
	for _, r := range []enqueue.Request{{Sweep: sweep}, {Sweep: spaced.Sweep}, {Sweep: other}, {Sweep: sweep, RetryOf: "x"}} {
		r.Tenant, r.Key = "acme", "k"
		_, err := in.Enqueue(t.Context(), r)
		require.NoError(t, err)
	}
	require.Equal(t, b.prints[0], b.prints[1], "form and defaults do not count")
	require.NotEqual(t, b.prints[0], b.prints[2])
	require.NotEqual(t, b.prints[0], b.prints[3])
}

func TestNewRefusesMissingDependencies(t *testing.T) {
	t.Parallel()
	_, b, o := setup(t)
	_, err := enqueue.New(nil, o, time.Now)
	require.Error(t, err)
	_, err = enqueue.New(b, nil, time.Now)
	require.Error(t, err)
	_, err = enqueue.New(b, o, nil)
	require.Error(t, err)
}

func TestATenantWithAllItsJobsOpen(t *testing.T) {
	t.Parallel()
	in, b, o := setup(t)
	b.answer = func(job.Header) (wait.Acceptance, error) { return wait.Acceptance{Full: true}, nil }
	_, err := in.Enqueue(t.Context(), enqueue.Request{Tenant: "acme", Sweep: sweep, Shares: wait.Shares{MostQueued: 7, Tenants: 2}})
	var full *quota.Exceeded
	require.ErrorAs(t, err, &full)
	require.Equal(t, 7, full.Limit)
	require.Equal(t, []wait.Shares{{MostQueued: 7, Tenants: 2}}, b.shares)
	require.Empty(t, o.sent)
}
