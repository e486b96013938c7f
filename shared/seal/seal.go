// Package seal tells the pipeline's own events from all others. A broker gives on
// whatever it is sent, so that an event has arrived says nothing about who made it:
// every event of ours carries an HMAC over what it says, set where events leave us
// (sink, and the replies of function) and checked before a function sees one.
//
// The seal covers what a function goes by, and that no broker has business to change:
// id, source, type, subject, time, dataschema, datacontenttype, tenantid and the bytes
// of the data. It does not cover what others set on the way: the trace (traceparent,
// tracestate), what an event is routed or ordered by (partitionkey, sequence), its age
// (knativebrokerttl), how a delivery ended (knativeerror…) and any extension that we do
// not know. So nothing that matters may be read from one of those.
//
// It holds in every mode in which an event can travel: attributes are taken as the
// values that they are, not as they are written (a time is an instant), data as the
// bytes that it is. A broker that writes JSON data anew breaks it; those we know
// (ours, Knative's own, for Kafka, for RabbitMQ) do not.
package seal

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash"
	"sync"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
)

// Extension is the attribute that holds the seal: 43 characters of unpadded base64url.
const Extension = "sweepseal"

// extTenant is the one extension that is covered.
const extTenant = "tenantid"

// What Check returns. Neither text holds anything of the event.
var (
	ErrUnsealed = errors.New("the event is not sealed")
	ErrForged   = errors.New("the event's seal is not valid")
)

// MinKey is the fewest bytes a key may have.
const MinKey = 16

// Config names the keys.
type Config struct {
	// Key seals the events of the pipeline and is what seals are checked by, 16 bytes at
	// least. Required unless Mode is off.
	Key string `envconfig:"EVENT_SEAL_KEY"`
	// OldKey is taken as well as Key. To change the key without losing an event, give the
	// new one here first, to all processes, and then exchange the two.
	OldKey string `envconfig:"EVENT_SEAL_KEY_OLD"`
	// Mode is what becomes of events without a seal: required (they are refused),
	// accept-unsealed (they are taken, for the time of an upgrade) or off (nothing is
	// sealed, and everything is taken). Default: required.
	Mode string `envconfig:"EVENT_SEALS"`
}

// The modes.
const (
	// Required: what is not sealed is refused.
	Required = "required"
	// AcceptUnsealed: what has no seal is taken, a wrong one is refused. For as long as
	// events of a version before seals are in the queues, and no longer.
	AcceptUnsealed = "accept-unsealed"
	// Off: nothing is sealed and everything is taken. Whoever reaches the broker or a
	// function then owns all jobs.
	Off = "off"
)

// Keys seals and checks. It is safe for concurrent use.
type Keys struct {
	mode string
	// macs are pools of *mac: the current key's, and that of the key before.
	macs []*sync.Pool
}

// New checks cfg. There is no way to go without a key but to say so.
func New(cfg Config) (*Keys, error) {
	k := &Keys{mode: cfg.Mode}
	switch cfg.Mode {
	case "":
		k.mode = Required
	case Required, AcceptUnsealed:
	case Off:
		return k, nil
	default:
		return nil, errors.New("EVENT_SEALS is none of required, accept-unsealed, off")
	}
	switch {
	case cfg.Key == "":
		return nil, errors.New("EVENT_SEAL_KEY is required (or EVENT_SEALS=off, where nobody else can reach the broker and the functions)")
	case len(cfg.Key) < MinKey:
		return nil, errors.New("EVENT_SEAL_KEY is shorter than 16 bytes")
	case cfg.OldKey != "" && len(cfg.OldKey) < MinKey:
		return nil, errors.New("EVENT_SEAL_KEY_OLD is shorter than 16 bytes")
	}
	k.macs = append(k.macs, pool(cfg.Key))
	if cfg.OldKey != "" && cfg.OldKey != cfg.Key {
		k.macs = append(k.macs, pool(cfg.OldKey))
	}
	return k, nil
}

// Without is what EVENT_SEALS=off gives: for tests, and programs that read only.
func Without() *Keys { return &Keys{mode: Off} }

// Mode is required, accept-unsealed or off.
func (k *Keys) Mode() string { return k.mode }

// Seal sets the seal of e, which belongs to the caller. One that is right already is
// left alone: such an event may be in others' hands.
func (k *Keys) Seal(e *cloudevents.Event) {
	if k.mode == Off {
		return
	}
	c, ok := e.Context.(*cloudevents.EventContextV1)
	if !ok {
		return // we make none; it would be refused
	}
	p := k.macs[0]
	m := p.Get().(*mac)
	defer p.Put(m)
	text := m.of(c, e.DataEncoded)
	if had, _ := c.Extensions[Extension].(string); had == string(text) {
		return
	}
	if c.Extensions == nil {
		c.Extensions = make(map[string]any, 1)
	}
	c.Extensions[Extension] = string(text)
}

// Check returns ErrUnsealed or ErrForged for an event that is not to be believed.
func (k *Keys) Check(e *cloudevents.Event) error {
	if k.mode == Off {
		return nil
	}
	c, ok := e.Context.(*cloudevents.EventContextV1)
	if !ok {
		return ErrUnsealed
	}
	seal, there := c.Extensions[Extension]
	if !there {
		if k.mode == AcceptUnsealed {
			return nil
		}
		return ErrUnsealed
	}
	text, _ := seal.(string)
	for _, p := range k.macs {
		m := p.Get().(*mac)
		ok := m.is(c, e.DataEncoded, text)
		p.Put(m)
		if ok {
			return nil
		}
	}
	return ErrForged
}

// mac is an HMAC with its key worked in, and room to work.
type mac struct {
	hash.Hash

	attrs []byte
	sum   [sha256.Size]byte
	text  [43]byte
}

func pool(key string) *sync.Pool {
	return &sync.Pool{New: func() any {
		return &mac{Hash: hmac.New(sha256.New, []byte(key)), attrs: make([]byte, 0, 512)}
	}}
}

// of gives the seal's text, valid until m is used again.
func (m *mac) of(c *cloudevents.EventContextV1, data []byte) []byte {
	a := m.attrs[:0]
	a = append(a, "sweepline event 1\n"...) // keeps other uses of the same key apart
	a = field(a, c.ID)
	a = field(a, c.Source.String())
	a = field(a, c.Type)
	a = field(a, deref(c.Subject))
	a = instant(a, c.Time)
	schema := ""
	if c.DataSchema != nil {
		schema = c.DataSchema.String()
	}
	a = field(a, schema)
	a = field(a, deref(c.DataContentType))
	tenant, _ := c.Extensions[extTenant].(string)
	a = field(a, tenant)
	a = binary.AppendUvarint(a, uint64(len(data)))
	m.attrs = a
	m.Reset()
	_, _ = m.Write(a)
	_, _ = m.Write(data)
	base64.RawURLEncoding.Encode(m.text[:], m.Sum(m.sum[:0]))
	return m.text[:]
}

func (m *mac) is(c *cloudevents.EventContextV1, data []byte, text string) bool {
	if len(text) != len(m.text) {
		return false
	}
	var given [43]byte
	copy(given[:], text)
	return hmac.Equal(given[:], m.of(c, data))
}

// field appends s so that where it ends cannot be moved. An attribute that is not
// there and an empty one are the same: CloudEvents knows no empty ones.
func field(to []byte, s string) []byte {
	return append(binary.AppendUvarint(to, uint64(len(s))), s...)
}

// instant appends a time, however it is written. No time is no second of any year.
func instant(to []byte, t *types.Timestamp) []byte {
	if t == nil {
		return append(to, 0)
	}
	to = append(to, 1)
	to = binary.BigEndian.AppendUint64(to, uint64(t.Unix()))
	return binary.BigEndian.AppendUint32(to, uint32(t.Nanosecond()))
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
