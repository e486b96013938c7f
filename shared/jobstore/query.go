package jobstore

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/zixly/sweepline/shared/job"
)

// Sizes of a page of jobs.
const (
	DefaultLimit = 50
	MaxLimit     = 500
)

// longestText bounds the text filter; more than that matches nothing useful.
const longestText = 200

// Query narrows a list of jobs. Zero fields do not narrow it.
type Query struct {
	// Status keeps the jobs in one of these states, as Job.Shown tells them: those that
	// were cancelled are job.ShownCancelled, not job.Failed.
	Status []job.State
	// Prefix is what the job's id begins with: MinPrefix to 32 hexadecimal digits in lower
	// case; dashes do not count. Any other finds nothing.
	Prefix string
	// Ticker must match exactly, but for upper and lower case.
	Ticker string
	// Group keeps the jobs of a group.
	Group string
	// Labels keeps the jobs that have all of these.
	Labels []string
	// Since and Until bound the creation: Since ≤ created < Until.
	Since, Until time.Time
	// Text must occur, whatever its case, in the job's id, ticker, strategy,
	// error or one of the trading API's ids.
	Text string
	// Sort is how they are sorted.
	Sort Sort
	// Limit is the size of a page: DefaultLimit if 0, at most MaxLimit.
	Limit int
	// Cursor is the Next of the page before, of the same Sort.
	Cursor string
}

// Page is one page of jobs.
type Page struct {
	Jobs []job.Job
	// Next is the cursor of the page that follows; empty on the last one.
	Next string
}

// PageSize is the number of jobs that q asks for.
func (q Query) PageSize() int {
	if q.Limit <= 0 {
		return DefaultLimit
	}
	return min(q.Limit, MaxLimit)
}

// Needle is the text to look for: no NUL, which PostgreSQL refuses, and bounded.
func (q Query) Needle() string { return Text(strings.TrimSpace(q.Text), longestText) }

// MinPrefix is the least number of digits of Query.Prefix.
const MinPrefix = 6

// hexDigits is how many an id has.
const hexDigits = 32

// ValidPrefix reports whether text may be a Query.Prefix.
func ValidPrefix(text string) bool {
	digits := strings.ReplaceAll(text, "-", "")
	return len(text) <= len(uuid.Nil.String()) && len(digits) >= MinPrefix && len(digits) <= hexDigits &&
		strings.Trim(digits, "0123456789abcdef") == ""
}

// IDs are the least and the greatest id that begin with q.Prefix.
func (q Query) IDs() (least, greatest string) {
	if !ValidPrefix(q.Prefix) {
		return uuid.Max.String(), uuid.Nil.String() // nothing lies between them
	}
	digits := strings.ReplaceAll(q.Prefix, "-", "")
	full := func(with string) string {
		return uuid.MustParse(digits + strings.Repeat(with, hexDigits-len(digits))).String()
	}
	return full("0"), full("f")
}

// Stored are the states of q.Status as they are stored, as text; those that do not exist
// match nothing. cancelled says whether jobs that were cancelled are among those that are
// wanted, failed whether those that failed otherwise are; FAILED is one of states for
// both.
func (q Query) Stored() (states []string, failed, cancelled bool) {
	failed, cancelled = slices.Contains(q.Status, job.Failed), slices.Contains(q.Status, job.ShownCancelled)
	states = []string{}
	for _, s := range q.Status {
		if s.Valid() && s != job.Failed {
			states = append(states, string(s))
		}
	}
	if failed || cancelled {
		states = append(states, string(job.Failed))
	}
	return states, failed, cancelled
}

// NoCounts are the counts where there is no job: zero for each state that is shown.
func NoCounts() map[job.State]int {
	return map[job.State]int{job.Queued: 0, job.Running: 0, job.Completed: 0, job.Failed: 0, job.ShownCancelled: 0}
}

// MaxRetries is how many retries Retries tells at most.
const MaxRetries = 500

// Position is where a page ends: of a list sorted by creation and id, downward.
type Position struct {
	CreatedAt time.Time
	ID        string
}

// Encode makes the opaque cursor of p.
func (p Position) Encode() string {
	return base64.RawURLEncoding.EncodeToString(p.append(nil))
}

func (p Position) append(raw []byte) []byte {
	id := uuid.MustParse(p.ID)
	raw = binary.BigEndian.AppendUint64(raw, uint64(p.CreatedAt.UnixMicro()))
	return append(raw, id[:]...)
}

// DecodePosition reads a cursor. The empty cursor is the start of the list:
// false. Anything that Encode does not make is ErrCursor.
func DecodePosition(cursor string) (Position, bool, error) {
	if cursor == "" {
		return Position{}, false, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(raw) != positionSize {
		return Position{}, false, ErrCursor
	}
	p, err := positionOf(raw)
	if err != nil {
		return Position{}, false, err
	}
	if p.Encode() != cursor { // the decoder passes over line ends
		return Position{}, false, ErrCursor
	}
	return p, true, nil
}

func positionOf(raw []byte) (Position, error) {
	at := time.UnixMicro(int64(binary.BigEndian.Uint64(raw))).UTC()
	if at.Year() < 1 || at.Year() > 9999 {
		return Position{}, fmt.Errorf("%w: time out of range", ErrCursor)
	}
	return Position{CreatedAt: at, ID: uuid.UUID(raw[8:]).String()}, nil
}

// Cut makes a page of the jobs read for it: one more than it holds, where there
// is a next page.
func Cut(jobs []job.Job, size int) Page {
	if len(jobs) <= size {
		return Page{Jobs: jobs}
	}
	last := jobs[size-1]
	return Page{Jobs: jobs[:size], Next: Position{CreatedAt: last.CreatedAt, ID: last.JobID}.Encode()}
}
