package jobs

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/rfc3339"
)

const (
	// maxGrouped is how many dead letters are looked at, others' too, to group them.
	maxGrouped = 5000
	// groupPage is how many of them are read at once: each brings its event along.
	groupPage = 100
	// longestReason bounds a reason as groups tell it, in bytes.
	longestReason = 200
)

// Said is the reason of a dead letter as its subscriber said it: our own steps answer
// with JSON.
func Said(reason string) string {
	var body struct {
		Error string `json:"error"`
	}
	if json.Unmarshal([]byte(reason), &body) == nil && body.Error != "" {
		return body.Error
	}
	return reason
}

// particulars are what tells two failures of one kind apart: ids, hashes, numbers.
var particulars = regexp.MustCompile(`(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{12,}\b|[0-9]+`)

// line is a reason in one line of people's text.
func line(reason string) string {
	return strings.Join(strings.Fields(strings.Map(job.Printable, strings.ToValidUTF8(Said(reason), "?"))), " ")
}

// brief is a line, cut to longestReason.
func brief(reason string) string {
	text := line(reason)
	if len(text) > longestReason {
		text = strings.ToValidUTF8(text[:longestReason], "") + "…"
	}
	return text
}

// kindOf is a reason without its particulars.
func kindOf(reason string) string { return particulars.ReplaceAllString(line(reason), "#") }

// causeOf names what dead letters have in common that failed alike: 12 hexadecimal digits
// of Trigger, code, and the reason without ids and numbers.
func causeOf(l broker.DeadLetter) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%d\n%s", l.Trigger, l.Code, kindOf(l.Reason)))
	return hex.EncodeToString(sum[:6])
}

// Cause is a group of dead letters that failed alike.
type Cause struct {
	// Cause names the group, as DeadLetter.Cause does.
	Cause   string `json:"cause"`
	Trigger string `json:"trigger"`
	Code    int    `json:"code"`
	// Reason is that of the last one; others differ in ids and numbers.
	Reason string `json:"reason"`
	Count  int    `json:"count"`
	// First and Last are when the first and the last of them was given up.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// Example is the id of the last one.
	Example string `json:"example"`
}

// MarshalJSON writes times as all answers do.
func (c Cause) MarshalJSON() ([]byte, error) {
	type plain Cause // without this method
	return json.Marshal(struct {
		plain

		First rfc3339.Milli `json:"first"`
		Last  rfc3339.Milli `json:"last"`
	}{plain(c), rfc3339.Milli(c.First), rfc3339.Milli(c.Last)})
}

// Causes are a caller's dead letters, grouped.
type Causes struct {
	// Causes, the greatest first.
	Causes []Cause `json:"causes"`
	// Triggers that have dead letters.
	Triggers []string `json:"triggers"`
	// Complete is false where there are more letters than are looked at.
	Complete bool `json:"complete"`
}

// Causes groups the caller's dead letters, those of one Trigger if it is not empty.
func (s *Service) Causes(ctx context.Context, trigger string) (Causes, error) {
	out := Causes{Causes: []Cause{}, Triggers: []string{}}
	groups := map[string]*Cause{}
	release, err := s.TakeRead(ctx, auth.FromContext(ctx))
	if err != nil {
		return out, err
	}
	defer release()
	size := 0
	own := map[string]bool{} // the caller's letters, by position
	q := broker.DeadLetterQuery{Trigger: trigger, Limit: groupPage, Look: func(l *broker.DeadLetter) {
		size += len(l.Event.DataEncoded)
		if s.owns(ctx, *l) {
			own[l.Position] = true
			slim(l)
			return
		}
		*l = broker.DeadLetter{Position: l.Position}
	}}
	for range maxGrouped / groupPage {
		page, next, err := s.DeadLetters.DeadLetters(ctx, q)
		if err != nil {
			return out, fmt.Errorf("list dead letters: %w", err)
		}
		for _, l := range page {
			if !own[l.Position] {
				continue
			}
			name := causeOf(l)
			g := groups[name]
			if g == nil { // the latest comes first
				g = &Cause{Cause: name, Trigger: l.Trigger, Code: l.Code, Reason: brief(l.Reason), Last: l.Died.UTC(), Example: l.ID}
				groups[name] = g
			}
			g.Count++
			g.First = l.Died.UTC()
			if !slices.Contains(out.Triggers, l.Trigger) {
				out.Triggers = append(out.Triggers, l.Trigger)
			}
		}
		q.Before = next
		if out.Complete = next == ""; out.Complete || size > looked {
			break
		}
		clear(own)
	}
	for _, g := range slices.SortedFunc(maps.Values(groups), func(a, b *Cause) int {
		return cmp.Or(b.Count-a.Count, strings.Compare(a.Cause, b.Cause))
	}) {
		out.Causes = append(out.Causes, *g)
	}
	slices.Sort(out.Triggers)
	return out, nil
}
