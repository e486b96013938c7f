package wait

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/zixly/sweepline/shared/job"
)

// The first byte of an encoded header. A header that has nothing to say besides is of
// the first version, which processes from before the second can read.
const (
	headerVersion  = 1
	labelledHeader = 2 // with flags of what follows: retry_of, the group, labels
	notifiedHeader = 3 // with the address besides that is called at the end, as a word
	newestHeader   = notifiedHeader
)

// Flags of a labelledHeader and what came after.
const (
	hasRetryOf = 1 << iota
	hasGroup
)

// Words that stand as one byte in an encoded header; others are written out, after their
// length plus the number of these words. So they belong to headerVersion: with one more
// every header reads otherwise.
var headerWords = []string{job.Type, job.DefaultTenant, job.SMA, job.EMA, job.MACD, "minimum", "standard", ""}

var errHeader = errors.New("malformed header")

// ErrNewer is wrapped where a later version has written a record: during a rollout a
// process of that version handles the job.
var ErrNewer = errors.New("record is of a later version")

// encodeHeader makes the compact form of a header: about 35 bytes against 250
// of JSON. The job id is not in it, since the record's key holds it. Times are
// kept to the millisecond.
func encodeHeader(h job.Header) (string, error) {
	if strings.ContainsAny(h.TenantID, "/\x00") || h.TenantID == "" {
		return "", errors.New("tenant id must not be empty or contain a slash")
	}
	b := []byte{headerVersion}
	if h.GroupID != "" || len(h.Labels) > 0 {
		b[0] = labelledHeader
	}
	if h.NotifyURL != "" {
		b[0] = notifiedHeader
	}
	b = binary.AppendVarint(b, h.CreatedAt.UnixMilli())
	p := h.Parameters
	for _, n := range []int{p.FastRange[0], p.FastRange[1], p.SlowRange[0], p.SlowRange[1], p.Step, p.MinTrades} {
		b = binary.AppendVarint(b, int64(n))
	}
	for _, s := range []string{h.JobType, h.TenantID, p.StrategyType, p.ConfigPath, p.Ticker} {
		b = appendWord(b, s)
	}
	flags, ids := byte(0), ""
	for flag, name := range map[byte]string{hasRetryOf: h.RetryOf, hasGroup: h.GroupID} {
		if name == "" {
			continue
		}
		id, ok := pack(name)
		if !ok {
			return "", errors.New("retry_of and group_id must be job ids")
		}
		if flags |= flag; flag == hasRetryOf {
			ids = id + ids
		} else {
			ids += id
		}
	}
	if b[0] == headerVersion {
		return string(b) + ids, nil
	}
	b = append(append(b, flags), ids...)
	b = binary.AppendUvarint(b, uint64(len(h.Labels)))
	for _, label := range h.Labels {
		b = appendWord(b, label)
	}
	if b[0] == notifiedHeader {
		b = appendWord(b, h.NotifyURL)
	}
	return string(b), nil
}

// readLabelled reads what a labelledHeader, or a later one, has at its end.
func readLabelled(h *job.Header, version byte, b []byte) error {
	if len(b) == 0 {
		return errHeader
	}
	flags, b := b[0], b[1:]
	for _, id := range []struct {
		flag byte
		into *string
	}{{hasRetryOf, &h.RetryOf}, {hasGroup, &h.GroupID}} {
		if flags&id.flag == 0 {
			continue
		}
		if len(b) < 16 {
			return errHeader
		}
		*id.into, b = uuid.UUID(b[:16]).String(), b[16:]
	}
	n, size := binary.Uvarint(b)
	if size <= 0 || n > job.MaxLabels {
		return errHeader
	}
	b = b[size:]
	for range n {
		var label string
		var err error
		if label, b, err = readWord(b); err != nil {
			return err
		}
		h.Labels = append(h.Labels, label)
	}
	if version == notifiedHeader {
		var err error
		if h.NotifyURL, b, err = readWord(b); err != nil {
			return err
		}
	}
	if len(b) > 0 {
		return errHeader
	}
	return nil
}

// appendWord writes a known word as its index, and any other as its length,
// shifted past the known ones, and its text.
func appendWord(b []byte, s string) []byte {
	for i, w := range headerWords {
		if s == w {
			return binary.AppendUvarint(b, uint64(i))
		}
	}
	b = binary.AppendUvarint(b, uint64(len(headerWords)+len(s)))
	return append(b, s...)
}

func decodeHeader(jobID, s string) (job.Header, error) {
	b := []byte(s)
	if len(b) == 0 || b[0] == 0 {
		return job.Header{}, errHeader
	}
	version := b[0]
	if version > newestHeader {
		return job.Header{}, fmt.Errorf("%w: %d", ErrNewer, version)
	}
	b = b[1:]
	h := job.Header{JobID: jobID}
	var created int64
	numbers := [7]int64{}
	for i := range numbers {
		n, size := binary.Varint(b)
		if size <= 0 {
			return job.Header{}, errHeader
		}
		numbers[i], b = n, b[size:]
	}
	created = numbers[0]
	p := &h.Parameters
	p.FastRange = [2]int{int(numbers[1]), int(numbers[2])}
	p.SlowRange = [2]int{int(numbers[3]), int(numbers[4])}
	p.Step, p.MinTrades = int(numbers[5]), int(numbers[6])
	for _, into := range []*string{&h.JobType, &h.TenantID, &p.StrategyType, &p.ConfigPath, &p.Ticker} {
		var err error
		if *into, b, err = readWord(b); err != nil {
			return job.Header{}, err
		}
	}
	h.CreatedAt = time.UnixMilli(created).UTC()
	if version >= labelledHeader {
		if err := readLabelled(&h, version, b); err != nil {
			return job.Header{}, err
		}
		return h, nil
	}
	switch len(b) {
	case 0:
	case 16:
		h.RetryOf = uuid.UUID(b).String()
	default:
		return job.Header{}, errHeader
	}
	return h, nil
}

func readWord(b []byte) (string, []byte, error) {
	n, size := binary.Uvarint(b)
	if size <= 0 {
		return "", nil, errHeader
	}
	b = b[size:]
	if n < uint64(len(headerWords)) {
		return headerWords[n], b, nil
	}
	n -= uint64(len(headerWords))
	if n > uint64(len(b)) {
		return "", nil, errHeader
	}
	return string(b[:n]), b[n:], nil
}
