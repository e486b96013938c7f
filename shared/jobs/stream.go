package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/quota"
	"github.com/zixly/sweepline/shared/sink"
)

const (
	// writeTimeout bounds one write to a slow browser.
	writeTimeout = 10 * time.Second
	// settlePause is the first pause between two looks whether an end that the
	// wait record knows is in the job store; it doubles up to maxPause.
	settlePause = 250 * time.Millisecond
	// maxPause is also how often a job is looked at although nobody said that
	// it changed: a push may be lost.
	maxPause = 10 * time.Second
	// reconnect is what browsers are told to wait before they come back.
	reconnect = 2 * time.Second
)

// Event ids count how far a job has come, so a browser that comes back with
// Last-Event-ID, to whichever replica, gets what is new to it and no more.
const (
	markRunning = 1000 // plus the progress
	markEnded   = 2000
	markResult  = 3000
)

func mark(j Found) int {
	switch {
	case j.Status.Terminal():
		return markEnded
	case j.Status == job.Running:
		return markRunning + j.Progress
	default:
		return 0
	}
}

// stream sends a job's changes as Server-Sent Events until its end:
//
//	event: status    {job_id, status, display_status, progress, place?}
//	event: progress  {job_id, progress}
//	event: result    the job, as GET gives it; nothing follows
func (s *Service) stream(w http.ResponseWriter, r *http.Request) {
	j, err := s.Find(r.Context(), r.PathValue("id"))
	if err != nil {
		AnswerMissing(w, err)
		return
	}
	last, err := strconv.Atoi(r.Header.Get("Last-Event-ID"))
	if err != nil {
		last = -1
	}
	if last >= markResult {
		w.WriteHeader(http.StatusNoContent) // tells a browser not to come back
		return
	}
	release, ok := s.takeStream(w, auth.FromContext(r.Context()))
	if !ok {
		return
	}
	defer release()
	out := s.newEventWriter(w, r)
	if out.open() != nil {
		return
	}
	s.follow(r.Context(), out, j, last)
}

// follow returns when the result is sent, the client is gone or the server
// stops.
func (s *Service) follow(ctx context.Context, out *eventWriter, j Found, last int) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changes, err := s.Waits.Watch(ctx, j.JobID)
	if err != nil { // without pushes the regular looks have to do
		slog.WarnContext(ctx, "watching job failed", "job_id", j.JobID, "error", err)
		changes = nil
	}
	look := func() {
		if next, err := s.Find(ctx, j.JobID); err == nil {
			j = next
		}
	}
	look() // what changed between the first look and the watch
	heartbeat := time.NewTicker(s.cfg.Heartbeat)
	defer heartbeat.Stop()
	sub := subscriber{out: out, last: last}
	settle, ending := settlePause, j.Ending
	again := time.NewTimer(pauseOf(j, settle))
	defer again.Stop()
	for {
		if sub.show(j) != nil || j.Settled {
			return
		}
		if j.Ending && !ending {
			ending = true
			again.Reset(settle)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.drain:
			return
		case <-heartbeat.C:
			if out.comment() != nil {
				return
			}
		case rec, ok := <-changes:
			if !ok {
				changes = nil
			} else if j = s.merge(ctx, j.Job, rec); j.Ending {
				look()
			}
		case <-again.C:
			look()
			if j.Ending {
				settle = min(2*settle, maxPause)
			}
			again.Reset(pauseOf(j, settle))
		}
	}
}

// pauseOf is the time to the next look at a job that nobody says anything of.
func pauseOf(j Found, settle time.Duration) time.Duration {
	if j.Ending {
		return settle
	}
	return maxPause
}

// streamRetry is when it is worth asking again for a stream.
const streamRetry = 5 * time.Second

// takeStream takes one of the process' streams for a tenant, or answers that there is
// none.
func (s *Service) takeStream(w http.ResponseWriter, tenant string) (release func(), ok bool) {
	if !s.ofTenants.take(tenant, s.cfg.TenantStreams) {
		(&quota.Exceeded{What: "event streams at once", Limit: s.cfg.TenantStreams, RetryAfter: streamRetry}).Write(w)
		return nil, false
	}
	select {
	case s.streams <- struct{}{}:
		return func() { <-s.streams; s.ofTenants.giveBack(tenant) }, true
	default:
		s.ofTenants.giveBack(tenant)
		function.WriteUnavailable(w, &sink.Unavailable{RetryAfter: streamRetry, Err: fmt.Errorf("%d streams are open", cap(s.streams))})
		return nil, false
	}
}
