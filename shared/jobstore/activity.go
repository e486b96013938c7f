package jobstore

import (
	"time"

	"github.com/zixly/sweepline/shared/job"
)

// Intervals are stretches of time of one length, one after the other.
type Intervals struct {
	From  time.Time
	Every time.Duration
	N     int
}

// LatestIntervals are the n intervals of which the last one holds now; they begin at whole
// multiples of every, in UTC.
func LatestIntervals(now time.Time, every time.Duration, n int) Intervals {
	return Intervals{From: now.UTC().Truncate(every).Add(-time.Duration(n-1) * every), Every: every, N: n}
}

// Until is the end of the last interval.
func (in Intervals) Until() time.Time { return in.From.Add(time.Duration(in.N) * in.Every) }

// Interval is what came of the jobs that were created in one.
type Interval struct {
	Begin time.Time
	// Jobs is how many stand in each state, as people are told it (Job.Shown); states
	// without any are left out.
	Jobs map[job.State]int
	// Median and P95 are from the creation of a job to its completion: half of the
	// completed jobs took no longer than Median, 95 of 100 no longer than P95. 0 where
	// none has completed.
	Median, P95 time.Duration
}

// Total is how many jobs were created.
func (i Interval) Total() int {
	total := 0
	for _, n := range i.Jobs {
		total += n
	}
	return total
}

// IntervalRow is a row of what a store counts: the jobs of one state that were created in
// one interval.
type IntervalRow struct {
	// Number is the interval's, from 0.
	Number    int
	Status    job.State
	Cancelled bool
	Jobs      int
	// Median and P95 are nil where no job of the row has an end.
	Median, P95 *time.Duration
}

// Fill makes the intervals of the rows of a store.
func (in Intervals) Fill(rows []IntervalRow) []Interval {
	filled := make([]Interval, in.N)
	for i := range filled {
		filled[i] = Interval{Begin: in.From.Add(time.Duration(i) * in.Every), Jobs: map[job.State]int{}}
	}
	for _, r := range rows {
		if r.Number < 0 || r.Number >= in.N {
			continue
		}
		into := &filled[r.Number]
		status := r.Status
		if r.Cancelled {
			status = job.ShownCancelled
		}
		into.Jobs[status] += r.Jobs
		if status == job.Completed && r.Median != nil && r.P95 != nil {
			into.Median, into.P95 = max(0, *r.Median), max(0, *r.P95)
		}
	}
	return filled
}
