package trading

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/zixly/sweepline/shared/job"
)

// Bounds of what is read of one answer, unpacked. 500 rows are 350 KB, a list of a
// thousand jobs is a MiB or two; neither is ever held as a whole.
const (
	maxAnswer      = 1 << 20
	maxPage        = 2 << 20
	maxList        = 8 << 20
	maxErrorAnswer = 64 << 10
)

// errTooLarge is an answer that goes on after the bound.
var errTooLarge = errors.New("response is too large")

// answer is the body of an answer as it is decoded: never more than its bound.
type answer struct {
	body io.Reader
	left int
	// failed is how the connection ended, unless at the end of the body.
	failed error
	// over: there was more than the bound.
	over bool
}

func (a *answer) Read(p []byte) (int, error) {
	if a.left <= 0 {
		var one [1]byte
		if n, _ := io.ReadFull(a.body, one[:]); n > 0 {
			a.over = true
			return 0, errTooLarge
		}
		return 0, io.EOF
	}
	n, err := a.body.Read(p[:min(len(p), a.left)])
	a.left -= n
	if err != nil && !errors.Is(err, io.EOF) {
		a.failed = err
	}
	return n, err
}

// partly is what reads of an answer only as much as was asked for.
type partly interface {
	// decode is done where it says so, though the answer goes on.
	decode(dec *json.Decoder) (done bool, err error)
}

// decode reads one JSON value into into. Of a partly it is not an error that the
// answer goes on.
func (a *answer) decode(into any) error {
	dec := json.NewDecoder(a)
	if p, ok := into.(partly); ok {
		if done, err := p.decode(dec); done || err != nil {
			return err
		}
	} else if err := dec.Decode(into); err != nil {
		return err
	}
	switch _, err := dec.Token(); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	}
	return errors.New("text after the JSON value")
}

// object reads a JSON object, handing each member to its field; others are passed
// over. A field is done where it says so, and the object with it.
func object(dec *json.Decoder, field func(name string) (done bool, err error)) (done bool, err error) {
	switch t, err := dec.Token(); {
	case err != nil:
		return false, err
	case t == nil: // null
		return false, nil
	case t != json.Delim('{'):
		return false, fmt.Errorf("an object was expected, not %v", kindOf(t))
	}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return false, err
		}
		name, _ := t.(string)
		if done, err := field(name); done || err != nil {
			return done, err
		}
	}
	_, err = dec.Token()
	return false, err
}

// array reads a JSON array by its elements, at most most of them: it is done where
// more follow. null is an array without any.
func array(dec *json.Decoder, most int, element func() error) (done bool, err error) {
	switch t, err := dec.Token(); {
	case err != nil:
		return false, err
	case t == nil:
		return false, nil
	case t != json.Delim('['):
		return false, fmt.Errorf("an array was expected, not %v", kindOf(t))
	}
	return elements(dec, most, element)
}

// elements is array after its bracket.
func elements(dec *json.Decoder, most int, element func() error) (done bool, err error) {
	for n := 0; dec.More(); n++ {
		if n == most {
			return true, nil
		}
		if err := element(); err != nil {
			return false, err
		}
	}
	_, err = dec.Token()
	return false, err
}

// kindOf names a token without repeating it.
func kindOf(t json.Token) string {
	switch t.(type) {
	case json.Delim:
		return "an array or object"
	case string:
		return "a text"
	case bool:
		return "a boolean"
	}
	return "a number"
}

// skip passes one value over, which is held until it ends.
func skip(dec *json.Decoder) error {
	var raw json.RawMessage
	return dec.Decode(&raw)
}

// pageBody is a page of rows as it is read: what stands beyond pageSize rows is left
// unread.
type pageBody struct {
	rows []job.Row
	// total is nil where the API does not say, or says it after too many rows.
	total     *int
	synthetic bool
	// source and data tell of the prices.
	source string
	data   dataBody
	// more: rows follow that were not asked for.
	more bool
	// best is the form of the API's own choice, of which these are known, too.
	ticker  string
	runDate stamp
}

func (b *pageBody) decode(dec *json.Decoder) (bool, error) {
	return object(dec, func(name string) (bool, error) {
		switch name {
		case "total_count", "total_results":
			return false, dec.Decode(&b.total)
		case "synthetic":
			return false, dec.Decode(&b.synthetic)
		case "data_source":
			return false, decodeText(dec, &b.source)
		case "data":
			return false, b.data.decode(dec)
		case "ticker":
			return false, dec.Decode(&b.ticker)
		case "run_date":
			return false, dec.Decode(&b.runDate)
		case "results":
			var err error
			b.more, err = array(dec, pageSize-len(b.rows), func() error {
				var row rowBody
				if err := dec.Decode(&row); err != nil {
					return err
				}
				r, err := row.row()
				b.rows = append(b.rows, r)
				return err
			})
			return b.more, err
		}
		return false, skip(dec)
	})
}

// jobList is an array of jobs, bare or as the member "jobs". What stands beyond
// maxListed entries is left unread.
type jobList struct {
	jobs []Job
	// entries counts those that are no jobs of ours, too.
	entries int
}

func (l *jobList) decode(dec *json.Decoder) (bool, error) {
	switch t, err := dec.Token(); {
	case err != nil:
		return false, err
	case t == json.Delim('['):
		return elements(dec, maxListed, func() error { return l.entry(dec) })
	case t != json.Delim('{'):
		return false, errors.New("response has no list of jobs")
	}
	found := false
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return false, err
		}
		if t != "jobs" {
			if err := skip(dec); err != nil {
				return false, err
			}
			continue
		}
		if t, err := dec.Token(); err != nil || t != json.Delim('[') {
			return false, cmp.Or(err, errors.New("response has no list of jobs"))
		}
		found = true
		if done, err := elements(dec, maxListed-l.entries, func() error { return l.entry(dec) }); done || err != nil {
			return done, err
		}
	}
	if _, err := dec.Token(); err != nil {
		return false, err
	}
	if !found {
		return false, errors.New("response has no list of jobs")
	}
	return false, nil
}

// entry reads one entry; one that is no job, or has no usable id, is not ours.
func (l *jobList) entry(dec *json.Decoder) error {
	var raw json.RawMessage
	if err := dec.Decode(&raw); err != nil {
		return err
	}
	l.entries++
	var body jobBody
	if json.Unmarshal(raw, &body) == nil && validJobID(body.JobID) {
		l.jobs = append(l.jobs, body.job())
	}
	return nil
}
