package wait_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/zixly/sweepline/shared/admission"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/servers/servertest"
	"github.com/zixly/sweepline/shared/wait"
)

// machine drives waits through any order of steps, by anybody, with anything
// lost between, and holds them to what must be true all the time.
type machine struct {
	*wait.Waits
	ctx   context.Context
	clock *clock
	limit int
	jobs  []*modelJob
	sent  map[string]int // ends by job
	lossy bool           // the broker is down
	rpm   int
	calls []time.Time // at the API
	// beyond counts submissions by attempts that were not in charge any more, against
	// all leases: their sweeps are at the API beside those that have a slot.
	beyond int
}

type modelJob struct {
	header job.Header
	known  bool
	ended  wait.State
	code   job.ErrorCode
	wins   int
	charge wait.Record // the attempt that was told to Go last
	until  time.Time   // until when nobody else may be told to
	sweeps int
	turn   int  // the last that was granted
	told   bool // it has been used
}

func (m *machine) Send(_ context.Context, events ...cloudevents.Event) error {
	if m.lossy {
		return errors.New("broker is down")
	}
	for _, e := range events {
		if e.Type() == event.SweepAdmitted {
			continue
		}
		m.sent[e.Subject()]++
	}
	return nil
}

func (m *machine) draw(t *rapid.T) *modelJob {
	return m.jobs[rapid.IntRange(0, len(m.jobs)-1).Draw(t, "job")]
}

func (m *machine) won(t *rapid.T, j *modelJob, r wait.Record) {
	require.Empty(t, j.ended, "job ended twice")
	j.wins++
	j.ended, j.code = r.State, r.ErrorCode
}

// check is what must be true after every step.
func (m *machine) check(t *rapid.T) {
	c, err := m.Count(m.ctx)
	require.NoError(t, err)
	require.LessOrEqual(t, int(c.Slots), m.limit+m.beyond)
	inCharge := 0
	for _, j := range m.jobs {
		r, err := m.Get(m.ctx, j.header.JobID)
		if !j.known {
			require.ErrorIs(t, err, wait.ErrUnknown)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, j.header, r.Header)
		if j.ended != "" {
			require.Equal(t, j.ended, r.State, "an end never changes")
			require.Equal(t, j.code, r.ErrorCode)
		} else {
			require.False(t, r.State.Ended())
			require.Empty(t, r.Actions)
		}
		if r.State == wait.Waiting {
			require.NotEmpty(t, r.TradingJobID)
			require.False(t, r.Deadline.IsZero(), "everything that waits has a deadline")
		}
		if r.State == wait.Submitting {
			inCharge++
		}
	}
	require.LessOrEqual(t, inCharge, m.limit+m.beyond)
	if m.rpm > 0 {
		last := 0
		for _, at := range m.calls {
			if m.clock.now().Sub(at) < time.Minute {
				last++
			}
		}
		require.LessOrEqual(t, last, m.rpm, "calls in the last minute")
	}
}

// spend makes the calls that were granted.
func (m *machine) spend(calls admission.Calls) {
	for calls.Spend() {
		m.calls = append(m.calls, m.clock.now())
	}
}

// grant is what the supervisor does with admissions and calls; the API never answers it.
func (m *machine) deal(t *rapid.T, taken func(id string) bool) {
	d, err := m.AdmitNext(m.ctx, 10, 10, 30*time.Second)
	require.NoError(t, err)
	for _, r := range d.Admitted {
		j := m.byID(r.Header.JobID)
		require.Empty(t, j.ended, "a turn for a job that has ended")
		require.Greater(t, r.Admissions, j.turn, "the turn before was not taken up")
		j.turn, j.told = r.Admissions, false
		if taken(r.Header.JobID) {
			m.enter(t, j)
		}
	}
	for _, c := range d.Calls {
		m.spend(c.Calls)
		switch {
		case c.Duplicate != "":
			require.NoError(t, m.Dropped(m.ctx, c))
		case c.Record.State.Ended():
			require.True(t, c.Record.Actions.Has(wait.ActionCancel))
			require.NoError(t, m.Done(m.ctx, c.Record, wait.ActionCancel))
		case c.Record.Expired():
			m.resolve(t, m.byID(c.Record.Header.JobID), wait.End{Code: job.TimedOut, Message: "over", Via: event.ViaDeadline})
		default:
			require.Equal(t, wait.Waiting, c.Record.State)
			_, err := m.Progress(m.ctx, c.Record, 10, false, time.Minute, wait.Answered())
			require.NoError(t, err)
		}
	}
}

func (m *machine) enter(t *rapid.T, j *modelJob) {
	e, err := m.Enter(m.ctx, j.header)
	require.NoError(t, err)
	fresh := !j.known
	j.known = true
	m.spend(e.Calls)
	switch e.Decision {
	case wait.SubmitNow, wait.FindFirst:
		require.Empty(t, j.ended)
		require.False(t, m.clock.now().Before(j.until), "two attempts in charge")
		if fresh {
			require.Equal(t, wait.FindFirst, e.Decision, "an unknown job may be at the API")
		}
		if e.Decision == wait.SubmitNow {
			require.Zero(t, j.sweeps, "would submit twice")
		}
		j.charge, j.until = e.Record, e.Record.LeaseUntil
	case wait.AlreadyEnded:
		require.NotEmpty(t, j.ended)
	case wait.Submitted:
		require.Equal(t, wait.Waiting, e.Record.State)
	case wait.Queued, wait.Busy:
		require.Empty(t, j.ended)
	}
}

// tend is what the supervisor does with waits that need no call, in short.
func (m *machine) tend(t *rapid.T, ending bool) {
	due, err := m.Due(m.ctx, 100, 30*time.Second)
	require.NoError(t, err)
	for _, r := range due {
		j := m.byID(r.Header.JobID)
		switch {
		case r.State.Ended():
			_ = m.Conclude(m.ctx, r, m)
		case r.State == wait.Submitting:
			_, err := m.Reclaim(m.ctx, r)
			require.NoError(t, err)
		case r.Expired():
			m.resolve(t, j, wait.End{Code: job.TimedOut, Message: "over", Via: event.ViaDeadline})
		default:
			require.Equal(t, wait.Parked, r.State)
			again, open, err := m.CheckAdmission(m.ctx, r)
			require.NoError(t, err)
			if open {
				require.Equal(t, j.turn, again.Admissions, "the same turn, told of again")
				require.Equal(t, r.AdmittedAt, again.AdmittedAt)
				if ending {
					m.enter(t, j)
				}
			}
		}
	}
	require.NoError(t, m.Flush(m.ctx))
}

func (m *machine) byID(id string) *modelJob {
	for _, j := range m.jobs {
		if j.header.JobID == id {
			return j
		}
	}
	return nil
}

func (m *machine) resolve(t *rapid.T, j *modelJob, end wait.End) {
	end.AdmitNext = rapid.Bool().Draw(t, "admit next")
	res, err := m.Resolve(m.ctx, j.header.JobID, end)
	if !j.known {
		require.ErrorIs(t, err, wait.ErrUnknown)
		return
	}
	require.NoError(t, err)
	require.Equal(t, j.ended == "", res.Won, "first writer wins")
	if !res.Won {
		return
	}
	m.won(t, j, res.Record)
	for _, other := range m.jobs { // an admission that was granted with the slot
		r, err := m.Get(m.ctx, other.header.JobID)
		if err == nil && r.Admissions > other.turn {
			require.True(t, end.AdmitNext)
			other.turn = r.Admissions
		}
	}
	if end.AdmitNext && rapid.Bool().Draw(t, "told") {
		_ = m.Announce(m.ctx, res, m)
	}
}

func TestModel(t *testing.T) {
	t.Parallel()
	url := clusterURL
	if !onCluster(t) {
		url = servertest.AnyRedis(t)
	}
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		c := newClock()
		limit := rapid.IntRange(1, 3).Draw(t, "limit")
		rpm := rapid.SampledFrom([]int{0, 1, 5, 20, 100}).Draw(t, "requests per minute")
		w, err := wait.Open(context.Background(), wait.Config{
			RedisURL: url, KeyPrefix: fmt.Sprintf("model%d-%s:", runs, job.NewID()), MaxConcurrent: limit, RequestsPerMinute: rpm,
			CallbackTimeout: 30 * time.Minute, QueueTimeout: 2 * time.Hour,
		}, wait.WithClock(c.now))
		require.NoError(t, err)
		defer func() { _ = w.Close() }()
		m := &machine{Waits: w, ctx: context.Background(), clock: c, limit: limit, rpm: rpm, sent: map[string]int{}}
		for i := range 5 {
			h := header([]string{"a", "b"}[i%2])
			h.CreatedAt = start.Add(time.Duration(i) * time.Millisecond)
			m.jobs = append(m.jobs, &modelJob{header: h})
		}
		m.run(t)
	})
}

func (m *machine) run(t *rapid.T) {
	t.Repeat(map[string]func(*rapid.T){
		"": m.check,
		"accept": func(t *rapid.T) {
			j := m.draw(t)
			_, err := m.Accept(m.ctx, j.header, "f")
			require.NoError(t, err)
			j.known = true
		},
		"enter": func(t *rapid.T) { m.enter(t, m.draw(t)) },
		"enter again": func(t *rapid.T) {
			j := m.draw(t)
			m.enter(t, j)
			m.enter(t, j)
		},
		"extend": func(t *rapid.T) {
			j := m.draw(t)
			ok, err := m.Extend(m.ctx, j.charge)
			require.NoError(t, err)
			if ok {
				j.until = m.clock.now().Add(m.Config().SubmitLease)
			}
		},
		"the API takes the sweep": func(t *rapid.T) {
			j := m.draw(t)
			if j.charge.Attempt == 0 {
				return
			}
			j.sweeps++
			if r, err := m.Get(m.ctx, j.header.JobID); err != nil || r.State != wait.Submitting || r.Attempt != j.charge.Attempt {
				m.beyond++
			}
			id := "t-" + j.header.JobID + fmt.Sprint(j.sweeps)
			result, r, err := m.Note(m.ctx, j.header.JobID, id, 0, time.Minute)
			require.NoError(t, err)
			switch result {
			case wait.Noted:
				require.Equal(t, id, r.TradingJobID)
				j.until = time.Time{}
			case wait.DuplicateSweep:
				require.NotEqual(t, id, r.TradingJobID)
				require.Contains(t, r.Dropped, id)
			case wait.Late:
				require.NotEmpty(t, j.ended)
				if j.code == job.TimedOut || j.code == job.Cancelled || j.code == job.Undeliverable {
					require.True(t, r.Actions.Has(wait.ActionCancel) || slices.Contains(r.Dropped, id), "a sweep that nobody wants")
				}
			}
		},
		"the API can't be reached": func(t *rapid.T) {
			j := m.draw(t)
			if j.charge.Attempt == 0 || j.sweeps > 0 {
				return
			}
			s := wait.RequeueReason{
				Delay: time.Duration(rapid.IntRange(0, 90).Draw(t, "seconds")) * time.Second, Uncertain: rapid.Bool().Draw(t, "uncertain"),
				Submission: rapid.SampledFrom([]wait.Report{{}, wait.Answered(), wait.Unanswered(0), wait.Unanswered(time.Minute)}).Draw(t, "report"),
			}
			require.NoError(t, m.Requeue(m.ctx, j.charge, s))
			if r, err := m.Get(m.ctx, j.header.JobID); err == nil && r.State != wait.Submitting {
				j.until = time.Time{}
			}
		},
		"the API forgets": func(t *rapid.T) {
			j := m.draw(t)
			r, err := m.Get(m.ctx, j.header.JobID)
			if err != nil {
				return
			}
			ok, err := m.Forget(m.ctx, r)
			require.NoError(t, err)
			require.Equal(t, r.State == wait.Waiting, ok)
		},
		"callback": func(t *rapid.T) { m.resolve(t, m.draw(t), wait.End{RunID: "run", Via: event.ViaCallback}) },
		"bad callback": func(t *rapid.T) {
			m.resolve(t, m.draw(t), wait.End{Code: job.SweepFailed, Message: "x", Via: event.ViaCallback})
		},
		"cancel": func(t *rapid.T) {
			j := m.draw(t)
			_, err := m.Cancel(m.ctx, j.header.JobID)
			if !j.known {
				require.ErrorIs(t, err, wait.ErrUnknown)
				return
			}
			require.NoError(t, err)
			if j.ended == "" {
				r, err := m.Get(m.ctx, j.header.JobID)
				require.NoError(t, err)
				m.won(t, j, r)
			}
		},
		"conclude": func(t *rapid.T) {
			j := m.draw(t)
			if r, err := m.Get(m.ctx, j.header.JobID); err == nil && r.State.Ended() {
				_ = m.Conclude(m.ctx, r, m)
			}
		},
		"broker": func(*rapid.T) { m.lossy = !m.lossy },
		"deal": func(t *rapid.T) {
			m.deal(t, func(string) bool { return rapid.Bool().Draw(t, "taken up") })
		},
		"another call": func(t *rapid.T) {
			pause, err := m.Allow(m.ctx)
			require.NoError(t, err)
			if pause == 0 {
				m.calls = append(m.calls, m.clock.now())
			}
		},
		"tend": func(t *rapid.T) { m.tend(t, false) },
		"pause": func(t *rapid.T) {
			m.clock.advance(time.Duration(rapid.IntRange(1, 600).Draw(t, "seconds")) * time.Second)
		},
	})
	m.end(t)
}

// end lets the supervisor alone bring everything to its end.
func (m *machine) end(t *rapid.T) {
	m.lossy = false
	for range 300 {
		m.clock.advance(90 * time.Second)
		m.tend(t, true)
		m.deal(t, func(string) bool { return true })
		c, err := m.Count(m.ctx)
		require.NoError(t, err)
		require.LessOrEqual(t, int(c.Slots), m.limit+m.beyond)
		if c.Waiting+c.Parked+c.Slots == 0 {
			break
		}
	}
	for _, j := range m.jobs {
		r, err := m.Get(m.ctx, j.header.JobID)
		if errors.Is(err, wait.ErrUnknown) || r.State == wait.Accepted {
			continue // nobody ever began it
		}
		require.True(t, r.State.Ended(), "job is %s for ever", r.State)
		require.Equal(t, 1, j.wins)
		require.Empty(t, r.Actions)
		require.GreaterOrEqual(t, m.sent[j.header.JobID], 1, "its end was told")
	}
	c, err := m.Count(m.ctx)
	require.NoError(t, err)
	c.APIFailures = 0 // nobody has called it since
	require.Equal(t, wait.Counts{}, c, "nothing is left behind")
}
