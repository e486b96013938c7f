package wait_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/zixly/sweepline/shared/admission"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/servers/servertest"
	"github.com/zixly/sweepline/shared/wait"
)

// queue is what is queued, as the model knows it: by tenant, oldest first.
type queue struct {
	*wait.Waits
	clock    *clock
	limit    int
	kept     int // slots for tenants without
	tenants  int
	rpm      int
	queued   map[string][]string // job ids in the queue
	tenant   map[string]string   // of a job
	active   []string            // jobs with a slot
	passed   map[string]int      // admissions of others since a tenant's last, while it was in the queue
	calls    []time.Time
	admitted int
	arrived  int
}

func (q *queue) arrive(t *rapid.T, tenant string) {
	h := header(tenant)
	q.arrived++
	h.CreatedAt = start.Add(time.Duration(q.arrived) * time.Millisecond)
	_, err := q.Accept(context.Background(), h, "", wait.Shares{Tenants: q.tenants})
	require.NoError(t, err)
	entitled := q.entitled(tenant)
	e, err := q.Enter(context.Background(), h)
	require.NoError(t, err)
	q.tenant[h.JobID] = tenant
	switch e.Decision {
	case wait.SubmitNow:
		require.True(t, entitled, "a slot that is kept for others")
		for other, jobs := range q.queued {
			require.True(t, len(jobs) == 0 || !q.entitled(other), "a newcomer overtook the line")
		}
		q.spend(e.Calls)
		q.active = append(q.active, h.JobID)
	case wait.Queued:
		if len(q.queued[tenant]) == 0 {
			q.passed[tenant] = 0
		}
		q.queued[tenant] = append(q.queued[tenant], h.JobID)
	default:
		require.FailNow(t, "unexpected verdict", "%d", e.Decision)
	}
}

// entitled reports whether a tenant may have a slot, if one is free: it has none, or
// there remain as many as are kept.
func (q *queue) entitled(tenant string) bool {
	holders := map[string]bool{}
	for _, id := range q.active {
		holders[q.tenant[id]] = true
	}
	free := q.limit - len(q.active)
	return free > 0 && (!holders[tenant] || free > min(q.kept, q.tenants-len(holders)))
}

func (q *queue) spend(calls admission.Calls) {
	for calls.Spend() {
		q.calls = append(q.calls, q.clock.now())
	}
}

// granted holds an admission to the rules: the oldest of its tenant, no slot that is
// kept for others, and no tenant that may have a slot waits while another gets two.
func (q *queue) granted(t *rapid.T, r wait.Record) {
	tenant := r.Header.TenantID
	require.NotEmpty(t, q.queued[tenant], "an admission of a job that is not queued")
	require.True(t, q.entitled(tenant), "a slot that is kept for others")
	require.Equal(t, q.queued[tenant][0], r.Header.JobID, "first come, first served")
	q.queued[tenant] = q.queued[tenant][1:]
	q.passed[tenant] = 0
	for other, jobs := range q.queued {
		if other == tenant || len(jobs) == 0 || !q.entitled(other) {
			continue
		}
		q.passed[other]++
		queuedTenants := 0
		for _, js := range q.queued {
			if len(js) > 0 {
				queuedTenants++
			}
		}
		require.LessOrEqual(t, q.passed[other], len(q.queued)+1, "%s is passed over, with %d tenants queued", other, queuedTenants)
	}
	q.admitted++
	e, err := q.Enter(context.Background(), r.Header)
	require.NoError(t, err)
	require.Equal(t, wait.SubmitNow, e.Decision)
	q.spend(e.Calls)
	q.active = append(q.active, r.Header.JobID)
}

func (q *queue) deal(t *rapid.T) {
	most := rapid.IntRange(1, 5).Draw(t, "at once")
	d, err := q.AdmitNext(context.Background(), most, 5, time.Minute)
	require.NoError(t, err)
	for _, r := range d.Admitted {
		q.granted(t, r)
	}
	if q.rpm > 0 || len(d.Admitted) == most {
		return
	}
	for tenant, jobs := range q.queued {
		require.True(t, len(jobs) == 0 || !q.entitled(tenant), "%s waits for a slot that it may have", tenant)
	}
}

func (q *queue) end(t *rapid.T, i int) {
	id := q.active[i]
	q.active = append(q.active[:i], q.active[i+1:]...)
	_, _, err := q.Note(context.Background(), id, id, 0, 24*time.Hour)
	require.NoError(t, err)
	_, err = q.Resolve(context.Background(), id, wait.End{RunID: "run"})
	require.NoError(t, err)
}

func (q *queue) waiting() int {
	n := 0
	for _, jobs := range q.queued {
		n += len(jobs)
	}
	return n
}

func (q *queue) check(t *rapid.T) {
	require.LessOrEqual(t, len(q.active), q.limit)
	last := 0
	for _, at := range q.calls {
		if q.clock.now().Sub(at) < time.Minute {
			last++
		}
	}
	if q.rpm > 0 {
		require.LessOrEqual(t, last, q.rpm)
	}
	c, err := q.Count(context.Background())
	require.NoError(t, err)
	require.EqualValues(t, q.waiting(), c.Parked)
	require.EqualValues(t, len(q.active), c.Slots)
}

// TestQueueIsFair draws tenants that come and go.
func TestQueueIsFair(t *testing.T) {
	t.Parallel()
	url := servertest.AnyRedis(t)
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		q := &queue{
			clock: newClock(), limit: rapid.IntRange(1, 6).Draw(t, "slots"), tenants: rapid.IntRange(1, 5).Draw(t, "tenants"), rpm: rapid.SampledFrom([]int{0, 3, 30, 100}).Draw(t, "requests per minute"),
			queued: map[string][]string{}, tenant: map[string]string{}, passed: map[string]int{},
		}
		if q.tenants > 1 {
			q.kept = rapid.IntRange(0, q.limit-1).Draw(t, "kept")
		}
		w, err := wait.Open(context.Background(), wait.Config{
			RedisURL: url, KeyPrefix: fmt.Sprintf("fair%d-%s:", runs, job.NewID()), MaxConcurrent: q.limit, SlotsKept: q.kept, RequestsPerMinute: q.rpm,
		}, wait.WithClock(q.clock.now))
		require.NoError(t, err)
		defer func() { _ = w.Close() }()
		q.Waits = w
		t.Repeat(map[string]func(*rapid.T){
			"": q.check,
			"arrive": func(t *rapid.T) {
				q.arrive(t, rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}[:q.tenants]).Draw(t, "tenant"))
			},
			"a crowd": func(t *rapid.T) {
				for range 5 {
					q.arrive(t, "a")
				}
			},
			"deal": q.deal,
			"end": func(t *rapid.T) {
				if len(q.active) > 0 {
					q.end(t, rapid.IntRange(0, len(q.active)-1).Draw(t, "which"))
				}
			},
			"pause": func(t *rapid.T) {
				q.clock.advance(time.Duration(rapid.IntRange(1, 90_000).Draw(t, "ms")) * time.Millisecond)
			},
		})
		for n := 0; q.waiting()+len(q.active) > 0; n++ {
			require.Less(t, n, 20_000, "somebody is never served")
			q.deal(t)
			for len(q.active) > 0 {
				q.end(t, 0)
			}
			q.clock.advance(20 * time.Second)
		}
	})
}
