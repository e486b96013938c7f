package jobstore

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"slices"

	"github.com/zixly/sweepline/shared/job"
)

// Sort says how Jobs sorts.
type Sort int

// The sorts of jobs.
const (
	// NewestFirst goes down by creation.
	NewestFirst Sort = iota
	// BestFirst goes down by best score, equal ones newest first. Jobs that have none,
	// since they have not completed, come last, newest first.
	BestFirst
)

// ScorePosition is where a page of BestFirst ends.
type ScorePosition struct {
	Position

	// Scored says that it ends at a job that has a score, Score; else it ends among those
	// that have none.
	Scored bool
	Score  float64
}

// Lengths of cursors, in bytes.
const (
	positionSize      = 24
	scorePositionSize = 1 + 8 + positionSize
)

// Encode makes the opaque cursor of p.
func (p ScorePosition) Encode() string {
	raw := []byte{0}
	if p.Scored {
		raw[0] = 1
	}
	raw = binary.BigEndian.AppendUint64(raw, math.Float64bits(p.Score))
	return base64.RawURLEncoding.EncodeToString(p.append(raw))
}

// DecodeScorePosition reads a cursor. The empty cursor is the start of the list: false.
// Anything that Encode does not make is ErrCursor.
func DecodeScorePosition(cursor string) (ScorePosition, bool, error) {
	if cursor == "" {
		return ScorePosition{}, false, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(raw) != scorePositionSize || raw[0] > 1 {
		return ScorePosition{}, false, ErrCursor
	}
	p := ScorePosition{Scored: raw[0] == 1, Score: math.Float64frombits(binary.BigEndian.Uint64(raw[1:]))}
	if p.Position, err = positionOf(raw[9:]); err != nil {
		return ScorePosition{}, false, err
	}
	if math.IsNaN(p.Score) || p.Encode() != cursor { // the decoder passes over line ends
		return ScorePosition{}, false, ErrCursor
	}
	return p, true, nil
}

// Scored is a job and the score that it is sorted by.
type Scored struct {
	job.Job

	Score float64
}

// ScoreReads read jobs for PageByScore, up to limit of them.
type ScoreReads struct {
	// Scored reads those that have a score; after is nil at the start.
	Scored func(q Query, after *ScorePosition, limit int) ([]Scored, error)
	// Others reads those that have none, newest first; after is nil at the start.
	Others func(q Query, after *Position, limit int) ([]job.Job, error)
}

// PageByScore makes a page of BestFirst of two lists, so that each can be read by an
// index of its own.
func PageByScore(q Query, read ScoreReads) (Page, error) {
	at, paging, err := DecodeScorePosition(q.Cursor)
	if err != nil {
		return Page{}, err
	}
	size := q.PageSize()
	page := Page{Jobs: []job.Job{}}
	var last ScorePosition
	if (!paging || at.Scored) && (len(q.Status) == 0 || slices.Contains(q.Status, job.Completed)) {
		var after *ScorePosition
		if paging {
			after = &at
		}
		scored, err := read.Scored(q, after, size+1)
		if err != nil {
			return Page{}, err
		}
		for i, s := range scored {
			if i == size {
				page.Next = last.Encode()
				return page, nil
			}
			page.Jobs = append(page.Jobs, s.Job)
			last = ScorePosition{Position: Position{CreatedAt: s.CreatedAt, ID: s.JobID}, Scored: true, Score: s.Score}
		}
	}
	rest := q
	rest.Status = slices.DeleteFunc(slices.Clone(q.Status), func(s job.State) bool { return s == job.Completed })
	if len(q.Status) > 0 && len(rest.Status) == 0 {
		return page, nil
	}
	var after *Position
	if paging && !at.Scored {
		after = &at.Position
	}
	others, err := read.Others(rest, after, size+1-len(page.Jobs))
	if err != nil {
		return Page{}, err
	}
	for _, j := range others {
		if len(page.Jobs) == size {
			page.Next = last.Encode()
			break
		}
		page.Jobs = append(page.Jobs, j)
		last = ScorePosition{Position: Position{CreatedAt: j.CreatedAt, ID: j.JobID}}
	}
	return page, nil
}
