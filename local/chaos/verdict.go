//go:build linux

package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// finding is a rule that something broke, with the ids that broke it.
type finding struct {
	Rule string   `json:"rule"`
	Text string   `json:"text"`
	IDs  []string `json:"ids,omitempty"`
}

// verdict is what a run comes to.
type verdict struct {
	// Broken are rules that must hold. The run has failed if there are any.
	Broken []finding `json:"broken"`
	// Allowed are things that look like faults and are permitted here: repeats
	// that nobody can exclude, and what was lost with an emptied Redis.
	Allowed []finding      `json:"allowed"`
	Facts   map[string]any `json:"facts"`
}

const (
	eventPrefix  = "com.zixly."
	jobNotified  = eventPrefix + "job.notified.v1"
	jobCompleted = eventPrefix + "job.completed.v1"
	jobFailed    = eventPrefix + "job.failed.v1"
	submitted    = eventPrefix + "sweep.submitted.v1"
	sweepDone    = eventPrefix + "sweep.completed.v1"
	sweepFailed  = eventPrefix + "sweep.failed.v1"
)

// judge applies every rule.
func judge(o *observed) verdict {
	j := &judgement{observed: o, ids: map[string]map[string]bool{}, texts: map[string]string{}, allowed: map[string]bool{}}
	j.facts = map[string]any{}
	j.answers()
	j.acceptance()
	j.ends()
	j.timelines()
	j.telling()
	j.submissions()
	j.limits()
	j.letterbox()
	j.leftovers()
	j.processes()
	return j.verdict()
}

// judgement collects what breaks which rule.
type judgement struct {
	*observed

	ids     map[string]map[string]bool
	texts   map[string]string
	allowed map[string]bool
	facts   map[string]any
}

// breaks notes that id breaks a rule; text says what the rule is. An empty id
// stands for the run as a whole.
func (j *judgement) breaks(rule, text, id string) { j.note(rule, text, id, false) }

// allows notes what is reported and does not fail the run.
func (j *judgement) allows(rule, text, id string) { j.note(rule, text, id, true) }

func (j *judgement) note(rule, text, id string, allowed bool) {
	if j.ids[rule] == nil {
		j.ids[rule], j.texts[rule], j.allowed[rule] = map[string]bool{}, text, allowed
	}
	if id != "" {
		j.ids[rule][id] = true
	}
}

// unlessFlushed breaks a rule, or allows it where Redis was emptied.
func (j *judgement) unlessFlushed(rule, text, id string) {
	if j.flushed.IsZero() {
		j.breaks(rule, text, id)
		return
	}
	j.allows(rule+" (flushed)", text+"; redis was emptied", id)
}

func (j *judgement) verdict() verdict {
	v := verdict{Facts: j.facts}
	for _, rule := range slices.Sorted(maps.Keys(j.ids)) {
		f := finding{Rule: rule, Text: j.texts[rule], IDs: slices.Sorted(maps.Keys(j.ids[rule]))}
		if j.allowed[rule] {
			v.Allowed = append(v.Allowed, f)
		} else {
			v.Broken = append(v.Broken, f)
		}
	}
	return v
}

// answers: a client sees 202, or is told to come again, or nobody answers.
func (j *judgement) answers() {
	counts := map[int]int{}
	for _, r := range j.requests {
		for _, a := range r.attempts {
			counts[a.Status]++
			switch a.Status {
			case 0, http.StatusAccepted, http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusBadGateway:
			default:
				j.breaks(fmt.Sprintf("answer %d", a.Status), "a valid request was refused: "+a.Answer, r.Ticker)
			}
		}
	}
	j.facts["answers"] = counts
}

// acceptance: every 202 has exactly one job; a key names one job.
func (j *judgement) acceptance() {
	byTicker := map[string][]string{}
	for id, r := range j.jobs {
		byTicker[r.Ticker] = append(byTicker[r.Ticker], id)
	}
	accepted, unanswered := 0, 0
	for _, r := range j.requests {
		given := r.accepted()
		accepted += len(given)
		for id := range given {
			row, ok := j.jobs[id]
			switch {
			case ok && (row.Ticker != r.Ticker || row.Tenant != r.Tenant):
				j.breaks("mixed up", "a job's row is another request's", id)
			case ok:
			case j.flushed.IsZero() || j.known[id]:
				j.breaks("lost", "a 202 was given and there is no row", id)
			default:
				j.allows("lost (flushed)", "a 202 was given and there is no row; only redis, which was emptied, knew it", id)
			}
		}
		rows := byTicker[r.Ticker]
		delete(byTicker, r.Ticker)
		if len(rows) > 1 || len(given) > 1 {
			j.unlessFlushed("doubled", "one request has several jobs", r.Ticker)
		}
		if len(given) == 0 && r.Way != bare {
			j.breaks("never accepted", "a client with a key asked until the end and was never accepted", r.Ticker)
		}
		for _, id := range rows {
			if !given[id] {
				if r.Way == bare { // the answer was lost
					unanswered++
				} else {
					j.unlessFlushed("unasked", "there is a job that nobody was given the id of", id)
				}
			}
		}
	}
	for _, ids := range byTicker {
		j.breaks("unasked", "there is a job that nobody was given the id of", ids[0])
	}
	j.facts["accepted"], j.facts["rows"], j.facts["run without an answer"] = accepted, len(j.jobs), unanswered
}

// sweepsByJob groups the submissions that the API accepted.
func (j *judgement) sweepsByJob() map[string][]sweep {
	by := map[string][]sweep{}
	for _, s := range j.sweeps {
		by[s.job()] = append(by[s.job()], s)
	}
	return by
}

// ends: every job ends as its sweep did, with its rows.
func (j *judgement) ends() {
	sweeps := j.sweepsByJob()
	counts := map[string]int{}
	for id, r := range j.jobs {
		counts[strings.TrimSpace(r.Status+" "+r.Code)]++
		status, want := "", 0
		for _, s := range sweeps[id] {
			if status != "completed" {
				status = s.Status
			}
		}
		if status == "completed" {
			want = combinations
		}
		switch {
		case !r.ended():
			j.breaks("stuck", "a job has no end", id+" "+r.Status)
		case r.Status == completed && status != "completed", r.Status == failed && (status != "failed" || r.Code != "failed"):
			j.breaks("wrong end "+r.Code, "a job did not end as its sweep did", fmt.Sprintf("%s %s, sweep %s", id, r.Status, status))
		case r.Results != want:
			j.breaks("rows", fmt.Sprintf("a job does not have the %d rows of its sweep", combinations), fmt.Sprintf("%s %d", id, r.Results))
		}
		if v := j.views[id]; v != r.Status {
			j.breaks("view", "the API shows another state than the store has", id+" "+v)
		}
	}
	j.facts["ends"] = counts
}

// timelines: one of each step, agreeing with the row.
func (j *judgement) timelines() {
	for id, r := range j.jobs {
		if !r.ended() {
			continue
		}
		e := j.events[id]
		want := map[string]int{jobCompleted: 1, sweepDone: 1, jobFailed: 0, sweepFailed: 0, jobNotified: len(channels)}
		if r.Status == failed {
			want = map[string]int{jobCompleted: 0, sweepDone: 0, jobFailed: 1, sweepFailed: 1, jobNotified: len(channels)}
		}
		// A callback that overtakes the answer leaves nothing to say of the submission.
		want[submitted] = min(e[submitted], 1)
		for typ, n := range want {
			switch {
			case e[typ] < n && (typ == sweepDone || typ == sweepFailed):
				// The store may learn of it by the job's end alone, where Redis lost it on its way.
				j.unlessFlushed("timeline "+strings.TrimPrefix(typ, eventPrefix), "a timeline lacks an event", id)
			case e[typ] != n:
				j.breaks("timeline "+strings.TrimPrefix(typ, eventPrefix), "a timeline does not have exactly its events of a type", fmt.Sprintf("%s %d not %d", id, e[typ], n))
			}
		}
	}
}

// notifications: each channel is notified once of every end. Twice is allowed where the
// telling and its noting were parted.
func (j *judgement) telling() {
	repeats := 0
	for id, r := range j.jobs {
		for _, channel := range channels {
			m := j.notified[id][channel]
			if r.ended() && len(m) == 0 {
				j.breaks("not notified", "nobody was notified of an end", id+" "+channel)
			}
			if len(m) > 0 && m[0].Completed != (r.Status == completed) {
				j.breaks("notified wrongly", "people were notified of another end than the store has", id+" "+channel)
			}
			for i := 1; i < len(m); i++ {
				if cause := j.parted(m[i-1].At); cause != "" {
					repeats++
					j.allows("notified twice", "notified again after a fault between the message and the note of it", fmt.Sprintf("%s %s: %s", id, channel, cause))
				} else {
					j.breaks("notified twice", "notified again for no reason", id+" "+channel)
				}
			}
		}
	}
	for id := range j.notified {
		if _, ok := j.jobs[id]; !ok {
			j.unlessFlushed("notified of nothing", "people were notified of a job that is not in the store", id)
		}
	}
	if j.stray > 0 {
		j.breaks("stray message", "a message names no job", fmt.Sprint(j.stray))
	}
	j.facts["notified again, allowed"] = repeats
}

const (
	// A message reaches people before its noting begins, which takes moments
	// unless something is wrong at that time; both bounds allow for a busy machine.
	partedBefore, partedAfter = time.Second, 5 * time.Second
)

// parted names the fault that can have kept a message of that time from being
// noted.
func (j *judgement) parted(at time.Time) string {
	for _, e := range j.episodes {
		if j.severs(e) && e.From.Before(at.Add(partedAfter)) && e.To.After(at.Add(-partedBefore)) {
			return e.Kind + " " + e.Target
		}
	}
	return ""
}

// submissions: the API accepted each job's sweep once.
func (j *judgement) submissions() {
	for id, s := range j.sweepsByJob() {
		if len(s) > 1 {
			j.breaks("submitted twice", "the API accepted several sweeps of one job", fmt.Sprintf("%s %d", id, len(s)))
		}
		if _, ok := j.jobs[id]; !ok {
			j.unlessFlushed("orphan sweep", "the API has a sweep of a job that is not in the store", id)
		}
	}
	j.facts["sweeps"] = len(j.sweeps)
}

// limits: never more at the API than it takes.
func (j *judgement) limits() {
	most := inFlight(j.sweeps)
	if most > j.options.Concurrent {
		j.unlessFlushed("over the limit", fmt.Sprintf("%d sweeps were at the API at once, %d may be", most, j.options.Concurrent), "")
	}
	// A call that is held back after it was allowed arrives later than it was
	// counted: the window is as much shorter as the schedule could hold one back.
	window := time.Minute
	for _, e := range j.episodes {
		if e.kind.delays {
			held := min(e.To.Sub(e.From), 15*time.Second)
			if e.Kind == "slow" {
				held = 2 * slowest * time.Millisecond
			}
			window = min(window, time.Minute-held)
		}
	}
	if n := busiest(j.calls, window); n > j.options.Budget {
		j.unlessFlushed("over the budget", fmt.Sprintf("%d calls arrived at the API in %s, %d a minute are allowed", n, window.Round(time.Second), j.options.Budget), "")
	}
	health := 0
	for _, c := range j.calls {
		if c.Health {
			health++
		}
	}
	j.facts["most at the API"] = fmt.Sprintf("%d of %d", most, j.options.Concurrent)
	j.facts["busiest minute"] = fmt.Sprintf("%d of %d", busiest(j.calls, time.Minute), j.options.Budget)
	j.facts["calls"], j.facts["health calls"] = len(j.calls)-health, health
	if j.peak > 0 {
		j.facts["most at the API at once when asked for more"] = j.peak
		if j.peak < j.options.Concurrent {
			j.breaks("slots", fmt.Sprintf("at the end only %d of %d slots could be filled", j.peak, j.options.Concurrent), "")
		}
	}
	for name, v := range j.gauges {
		j.facts[name] = v
		if v != 0 {
			j.breaks(name, "the gauge is not 0 although nothing is left to do", fmt.Sprint(v))
		}
	}
}

// letterbox: nothing in these runs deserves a dead letter.
func (j *judgement) letterbox() {
	for _, l := range j.letters {
		j.breaks("dead letter "+l.Trigger, "an event was given up: "+strings.Join(strings.Fields(l.Reason), " "), strings.TrimPrefix(l.Type, eventPrefix)+" "+l.JobID)
	}
}

const (
	// strayKeys is what a pipeline makes once, whatever the number of its jobs.
	strayKeys = 10
	// strayBytes is the noise of two measurements of an idle Redis' data.
	strayBytes = 2 << 20
)

// leftovers: what lives in Redis without an end does not grow with the jobs, but
// for streams, whose trimming has a time and a size of its own.
func (j *judgement) leftovers() {
	if j.after.Keys == 0 {
		return
	}
	before := map[string]shape{}
	for _, s := range j.before.Shapes {
		before[s.Pattern+s.Type] = s
	}
	stray := strayKeys + len(j.jobs)/100
	streams := int64(0)
	for _, s := range j.after.Shapes {
		was := before[s.Pattern+s.Type]
		if s.Type == "stream" {
			streams += s.Bytes - was.Bytes
			continue
		}
		if s.Forever-was.Forever > stray {
			j.breaks("keys left", "keys without a time to live grew in number", fmt.Sprintf("%s (%s): %d → %d", s.Pattern, s.Type, was.Forever, s.Forever))
		}
		if s.Items-was.Items > int64(stray) {
			j.breaks("items left", "what is in keys without a time to live grew in number", fmt.Sprintf("%s (%s): %d → %d", s.Pattern, s.Type, was.Items, s.Items))
		}
	}
	if j.after.Pending > 0 {
		j.breaks("pending entries", "entries of consumer groups were read and never acknowledged", fmt.Sprint(j.after.Pending))
	}
	grown := j.after.Dataset - j.before.Dataset
	if grown-streams > strayBytes {
		j.breaks("memory", fmt.Sprintf("redis holds %d bytes more than before, streams left out", grown-streams), "")
	}
	j.facts["redis bytes"] = fmt.Sprintf("%d before, %d after, of these %d in streams", j.before.Dataset, j.after.Dataset, streams)
}

// processes: what came back is ready, and what was told to end has ended.
func (j *judgement) processes() {
	if j.unready != nil {
		j.breaks("not ready", "after healing something did not come back: "+j.unready.Error(), "")
	}
	if j.unquiet != nil {
		j.breaks("not quiet", j.unquiet.Error(), "")
	}
	for _, name := range j.grown {
		j.breaks("growing", "a series of a steady run is higher in the last third than in the one before", name)
	}
	for name, n := range j.hung {
		j.breaks("hung", fmt.Sprintf("a process did not end within %s of SIGTERM", graceful), fmt.Sprintf("%s %d times", name, n))
	}
	for name, lines := range j.exits {
		for _, l := range lines {
			if name != "redis" && name != "postgres" { // a full disk ends them
				j.allows("exits", "a process ended by itself and was started again", name+" "+l)
			}
		}
	}
	j.facts["faults"] = len(j.episodes)
}
