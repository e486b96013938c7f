package receive

import (
	"net/http"
	"time"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/enqueue"
	"github.com/zixly/sweepline/shared/rfc3339"
)

const (
	// latestRun is how old the event of a schedule's run may be: PingSource tries for
	// less than a minute to send one.
	latestRun = 10 * time.Minute
	// earliestRun is how far ahead of ours its clock may be.
	earliestRun = time.Minute
)

// scheduled reports whether r is the event of a schedule that brings its token.
func scheduled(r *http.Request) bool {
	return r.Header.Get("Ce-Type") == enqueue.PingType && r.Header.Get("Ce-"+auth.ScheduleToken) != ""
}

// takeScheduled takes the event of a schedule in. Its token stands for a key, but for one
// source, and for one job a minute: the key of the request is the run's, whatever else was
// sent, and only runs of now are taken. What was checked is in the headers; an event in
// the body may name another source, time and type.
func (f *Function) takeScheduled(w http.ResponseWriter, r *http.Request) {
	source := r.Header.Get("Ce-Source")
	tenant := f.schedules.Tenant(r.Header.Get("Ce-"+auth.ScheduleToken), source)
	at, err := rfc3339.Parse(r.Header.Get("Ce-Time"))
	age := time.Since(at)
	if tenant == "" || !f.keys.Knows(tenant) || err != nil || age > latestRun || age < -earliestRun {
		auth.Unauthorized(w)
		return
	}
	if err := f.keys.Admit(tenant); err != nil {
		auth.Refuse(w, err)
		return
	}
	r = r.Clone(auth.NewContext(r.Context(), tenant))
	r.Header.Del("Idempotency-Key")
	r.Header.Del("Webhook-Id")
	f.take(w, r, enqueue.PingKey(source, at))
}
