package jobstore

import (
	"iter"

	"github.com/zixly/sweepline/shared/job"
)

// ResultPage is a part of a sweep's rows on its way into the job store.
type ResultPage struct {
	Header     job.Header
	SweepRunID string
	// From and Next are the trading API's offsets: the page holds the rows from
	// From up to Next, less those that were dropped.
	From, Next int
	// Total is how many rows the sweep has; 0 while that is not known.
	Total int
	// Last: no page follows. A sweep of one page leaves no Collection behind.
	Last bool
	Rows []job.Row
}

// Key names what p is about: its job.
func (p ResultPage) Key() string { return p.Header.JobID }

// Collection is how far a job's rows are stored. It ends with the job.
type Collection struct {
	// Status of the job; empty if the job is not known. Once it is terminal
	// nothing is collected any more.
	Status job.State
	// SweepRunID is the run that is collected.
	SweepRunID string
	// Next is the offset of the page that comes next, and the number of rows
	// that were read.
	Next, Total int
	// Failures counts the attempts at the next page; see Store.CollectFailed.
	Failures int
}

// Summary is what the end of a job needs of its rows.
type Summary struct {
	Rows      int
	BestScore float64
	// Best are the ten best rows, best first; never nil.
	Best []job.Row
}

// Summarize sums up rows that are all of a job's.
func Summarize(rows []job.Row) Summary {
	rows = CleanAll(rows)
	s := Summary{Rows: len(rows), Best: Best(rows)}
	if len(rows) > 0 {
		s.BestScore = rows[0].Score
	}
	return s
}

// Assessment is what is computed of all rows of a sweep of more than one page. A sweep of
// one page has none: its rows come with what is around them.
type Assessment struct {
	// Surface is what maps are drawn from, a heatmap.Surface packed.
	Surface []byte
	// Neighbours are the rows that have any, in any order.
	Neighbours []Neighbours
}

// assessPart is how many rows are assessed in one statement, or transaction.
const assessPart = 5000

// Parts are the assessment in parts that are stored one after another; the last one has
// the surface.
func (a Assessment) Parts() iter.Seq[Assessment] {
	return func(yield func(Assessment) bool) {
		rows := a.Neighbours
		for ; len(rows) > assessPart; rows = rows[assessPart:] {
			if !yield(Assessment{Neighbours: rows[:assessPart]}) {
				return
			}
		}
		yield(Assessment{Surface: a.Surface, Neighbours: rows})
	}
}

// Neighbours is what is around one row of a sweep: job.Row's NeighbourWorst and
// NeighbourMedian.
type Neighbours struct {
	Fast, Slow    int32
	Signal        *int32
	Worst, Median float64
}
