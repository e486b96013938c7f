package broker

import (
	"crypto/sha256"
	"encoding/base64"
	"hash/fnv"
	"strconv"
)

// Every key begins with keyPrefix. What one script touches shares the hash tag
// {namespace/broker/partition}, so that a partition lives in one cluster slot
// and partitions spread over the cluster.
const (
	keyPrefix = "sweepline:"
	// brokersKey is a set of "namespace/broker" of all brokers ever applied.
	brokersKey = keyPrefix + "brokers"
	// controlChannel carries triggerKey.String of a trigger whose control state
	// changed, to wake the processes that run it.
	controlChannel = keyPrefix + "control"
)

// partition names the keys of one stream of a broker.
type partition struct {
	broker Broker
	index  int
	// tag is keyPrefix + "{namespace/broker/index}:".
	tag string
}

func newPartition(b Broker, index int) partition {
	return partition{broker: b, index: index, tag: keyPrefix + "{" + b.String() + "/" + strconv.Itoa(index) + "}:"}
}

// stream is the events, one field per entry.
func (p partition) stream() string { return p.tag + "stream" }

// seen is a string that lives for the deduplication window and holds the
// stream id of the event with that (source, id).
func (p partition) seen(digest string) string { return p.tag + "seen:" + digest }

// meta, of partition 0 only, is a hash: "partitions" is the greatest number
// ever used.
func (p partition) meta() string { return p.tag + "meta" }

// triggers, of partition 0 only, is a hash from trigger name to its TriggerInfo.
func (p partition) triggers() string { return p.tag + "triggers" }

// former, of partition 0 only, is a set of the names of removed triggers: their
// dead letters are still there.
func (p partition) former() string { return p.tag + "former" }

// paused, of partition 0 only, is a set of trigger names.
func (p partition) paused() string { return p.tag + "paused" }

// due is a sorted set from entry id to the Unix milliseconds at which its next
// attempt, or the end of the lease on the running one, is due.
func (p partition) due(trigger string) string { return p.tag + "t:" + trigger + ":due" }

// retries is a hash with three fields for every entry id in due: "m:" its
// retryState, "p:" the encoded event, "o:" the consumer that leases it, if any.
func (p partition) retries(trigger string) string { return p.tag + "t:" + trigger + ":retries" }

// buried is a sorted set from entry id to the Unix milliseconds of its death.
func (p partition) buried(trigger string) string { return p.tag + "t:" + trigger + ":buried" }

// dead is a hash from entry id to an encoded dead letter.
func (p partition) dead(trigger string) string { return p.tag + "t:" + trigger + ":dead" }

// leader is the consumer that reads for an ordered trigger.
func (p partition) leader(trigger string) string { return p.tag + "t:" + trigger + ":leader" }

// digest is the deduplication identity of an event: 128 bits of SHA-256 over
// source and id, which are told apart by a byte that neither can hold.
func digest(source, id string) string {
	buf := make([]byte, 0, 256)
	buf = append(buf, source...)
	buf = append(buf, 0)
	buf = append(buf, id...)
	sum := sha256.Sum256(buf)
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// partitionOf spreads events by key; equal keys share a partition.
func partitionOf(key string, partitions int) int {
	if partitions <= 1 {
		return 0
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	return int(h.Sum32() % uint32(partitions))
}

func (k triggerKey) String() string { return k.namespace + "/" + k.broker + "/" + k.name }
