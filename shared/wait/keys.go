package wait

import (
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/zixly/sweepline/shared/job"
)

// keys names everything in Redis. What one script touches shares a hash tag:
// {w0}, {w1}, … for the records of a shard, {admission}, {budget}.
type keys struct {
	prefix string
	shards int
}

// shard is the keys of one shard, all under one hash tag.
type shard struct {
	// records is what the key of a record begins with; the id, 16 bytes, follows.
	records string
	// due is a sorted set from id to the Unix milliseconds at which somebody
	// has to look at the wait.
	due string
}

func (k keys) shard(n int) shard {
	tag := k.prefix + "{w" + strconv.Itoa(n) + "}:"
	return shard{records: tag, due: tag + "due"}
}

// of gives the record's and the due set's key of a job.
func (k keys) of(id string) []string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id))
	s := k.shard(int(h.Sum32() % uint32(k.shards)))
	return []string{s.records + id, s.due}
}

// restarts is a hash of the id's shard: run, the run id of Redis as it was seen
// last, and at, when that was seen to change.
func (k keys) restarts(id string) string {
	record := k.of(id)[0]
	return record[:len(record)-len(id)] + "restarts"
}

func (k keys) admission(name string) string { return k.prefix + "{admission}:" + name }

// slots is a sorted set from the id of each job that may have a sweep at the
// API, or is about to, to the end of its lease.
func (k keys) slots() string { return k.admission("slots") }

// line is a sorted set, all scores 0, of the places of those who may be
// admitted: "tenant/order id", so that a tenant's stand together in order.
func (k keys) line() string { return k.admission("line") }

// ring is a sorted set of the tenants in line, by whose turn it is.
func (k keys) ring() string { return k.admission("ring") }

// places is a hash from id to place, of those in line and in later.
func (k keys) places() string { return k.admission("places") }

// later is a sorted set from id to when it may stand in line again.
func (k keys) later() string { return k.admission("later") }

// gate is a hash: until (shut till then, ms), fails, probing, turn.
func (k keys) gate() string { return k.admission("gate") }

// bucket is a hash: tokens, at.
func (k keys) bucket() string { return k.prefix + "{budget}:bucket" }

func (k keys) claim(name string) string { return k.prefix + "claim:{" + name + "}" }

// begun says that somebody has won a claim: it outlives the claim's lease.
func (k keys) begun(name string) string { return k.claim(name) + ":begun" }

// changes is the channel on which the id of every changed record is published.
func (k keys) changes() string { return k.prefix + "waits:changes" }

// wakes is the channel that tells the supervisor not to wait for its next
// tick: "admit" or "due".
func (k keys) wakes() string { return k.prefix + "waits:wakes" }

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

// place is where a job stands in line: among its tenant's by the time at which
// it was created, so that one put back gets its old place.
func place(tenant, id string, createdMS int64) string {
	order := strconv.FormatInt(max(createdMS, 0), 10)
	if n := 16 - len(order); n > 0 {
		order = strings.Repeat("0", n) + order
	}
	return tenant + "/" + order + id
}
