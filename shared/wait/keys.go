package wait

import (
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/zixly/sweepline/shared/job"
)

// keys names everything in Redis. All keys of waits and admission are under one hash
// tag: a step of a job changes its record, its slot, the queue and
// the budget, and is one script. So one node of a cluster keeps all waits. That
// is no bottleneck: the trading API takes a few sweeps at a time, a wait takes a few
// hundred bytes, a step tens of microseconds. What grows with the traffic, the
// streams of events, is spread over the nodes by the broker.
type keys struct{ prefix string }

// base begins all keys of waits; scripts get it as KEYS[1] and name the rest. A
// record's key is base and the 16 bytes of the job's id.
func (k keys) base() string { return k.prefix + "{w}:" }

func (k keys) record(id string) string { return k.base() + id }

// isRecord reports whether a key is a record's. The ids are bytes, not characters,
// so that no pattern of MATCH could tell.
func (k keys) isRecord(key string) bool {
	return strings.HasPrefix(key, k.base()) && len(key) == len(k.base())+idSize
}

// idSize is the length of a packed job id.
const idSize = 16

// changes is the channel on which the id of every changed record is published.
func (k keys) changes() string { return k.base() + "changes" }

// wakes is the channel that wakes the supervisor before its next tick: "admit" or
// "due".
func (k keys) wakes() string { return k.base() + "wakes" }

// pack makes 16 bytes of a job id. What is no job id names no record.
func pack(jobID string) (string, bool) {
	if !job.ValidID(jobID) {
		return "", false
	}
	id, err := uuid.Parse(jobID)
	return string(id[:]), err == nil
}

// unpack is the job id of 16 bytes.
func unpack(id string) (string, bool) {
	u, err := uuid.FromBytes([]byte(id))
	return u.String(), err == nil
}

// packTradingID halves the API's ids where they are UUIDs, as they usually are. A
// zero byte, which no id has, tells them apart from others.
func packTradingID(s string) string {
	if id, ok := pack(s); ok {
		return "\x00" + id
	}
	return s
}

func unpackTradingID(s string) string {
	if len(s) == 17 && s[0] == 0 {
		id, _ := unpack(s[1:])
		return id
	}
	return s
}

// position is a job's position in the queue: within its tenant by creation time, so
// that a requeued job returns to its old position.
func position(h job.Header, id string) string {
	order := strconv.FormatInt(max(h.CreatedAt.UnixMilli(), 0), 10)
	if n := 16 - len(order); n > 0 {
		order = strings.Repeat("0", n) + order
	}
	return h.TenantID + "/" + order + id
}
