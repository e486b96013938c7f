package stream

import (
	"errors"
	"strconv"
	"strings"
)

// Layout is the version of what this package keeps in Redis. A partition written
// by another one is refused: the version that wrote it has to drain it first.
const Layout = "2"

// Broker names one event mesh.
type Broker struct {
	Namespace string
	Name      string
}

func (b Broker) String() string { return b.Namespace + "/" + b.Name }

// Validate reports every broken rule of the names.
func (b Broker) Validate() error {
	return errors.Join(CheckName("namespace", b.Namespace), CheckName("name", b.Name))
}

// parseBroker reads what String wrote.
func parseBroker(s string) (Broker, bool) {
	namespace, name, ok := strings.Cut(s, "/")
	return Broker{Namespace: namespace, Name: name}, ok
}

// group is the one consumer group of every queue.
const group = "d"

// keys are a partition's. They share the hash tag {namespace/broker/partition}, so
// that a partition lives in one slot of a Redis Cluster and partitions spread over
// it. Within a partition:
//
//	meta             hash: layout, version (of the set), gen (of the routes), last
//	                 (entry id), bytes (of history); of partition 0 also partitions
//	                 (how many there are) and grown:N (Unix ms at which they were
//	                 last N)
//	routes           hash: Trigger name → its record as JSON
//	removed          sorted set: name → Unix ms at which the Trigger left the set
//	purging          set: names of Triggers that are being removed
//	former           set: names of removed Triggers that have dead letters
//	paused           set: names, of partition 0 only
//	history          stream: e (event) or b (it is in body:ID)
//	seen:D           string: "ID T" of the event with this identity and type, for
//	                 the deduplication window; seen:D:T for replies that keep D
//	body:ID, refs    an event that is kept once, and how many streams refer to it
//	q:NAME           stream: as history, and k (order key), o (id of the event
//	                 where the entry has another)
//	due:NAME         sorted set: entry id → Unix ms of its next attempt
//	retry:NAME       hash: entry id → what it has been through, as JSON
//	order:NAME       hash: order key → events of it that are not finished
//	wait:NAME:KEY    list: "ID e" + event or "ID b", behind the one in the queue
//	waiting          hash: name → entries of all its wait lists
//	fill:NAME        hash: after, to: history that is to be copied into the queue
//	dead:NAME        hash: m:ID its record, p:ID the event
//	buried:NAME      sorted set: ID → Unix ms of its death
//	rates:hN, rates:dN   hash, of partition 0 only: what became of deliveries in the
//	                 Nth hour or day since 1970: NAME/ok, /failed, /dead, and by latency
//	alive:CONSUMER   string that lives as long as its process does
type keys struct {
	prefix string
}

func newKeys(prefix string, b Broker, index int) keys {
	return keys{prefix + "{" + b.String() + "/" + strconv.Itoa(index) + "}:"}
}

func (k keys) of(name string) string             { return k.prefix + name }
func (k keys) meta() string                      { return k.prefix + "meta" }
func (k keys) routes() string                    { return k.prefix + "routes" }
func (k keys) history() string                   { return k.prefix + "history" }
func (k keys) queue(trigger string) string       { return k.prefix + "q:" + trigger }
func (k keys) due(trigger string) string         { return k.prefix + "due:" + trigger }
func (k keys) retry(trigger string) string       { return k.prefix + "retry:" + trigger }
func (k keys) deadLetters(trigger string) string { return k.prefix + "buried:" + trigger }
func (k keys) dead(trigger string) string        { return k.prefix + "dead:" + trigger }
func (k keys) fill(trigger string) string        { return k.prefix + "fill:" + trigger }
func (k keys) seen(digest string) string         { return k.prefix + "seen:" + digest }
func (k keys) rates(every string, n int64) string {
	return k.prefix + "rates:" + every + strconv.FormatInt(n, 10)
}
func brokersKey(prefix string) string     { return prefix + "brokers" }
func controlChannel(prefix string) string { return prefix + "control" }
