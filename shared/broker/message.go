package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
)

// ttlAttribute is Knative's loop protection. It is kept beside the event, not
// among its attributes, so that subscribers never see it.
const (
	ttlAttribute = "knativebrokerttl"
	defaultTTL   = 255
)

// kind is the CloudEvents type of an attribute as far as the wire told it.
type kind byte

const (
	kindText kind = iota
	// kindWire is an HTTP header value with characters that the binding wants
	// percent-encoded, or with '%'. It is passed on as it came: publishers differ
	// in whether they encode, and what one encodes its subscriber decodes.
	kindWire
	kindBool
	kindInt
)

type attribute struct {
	name  string
	kind  kind
	value string
}

// message is a CloudEvent as the broker keeps it: every attribute with the
// text it came with (the SDK's event.Event would rewrite times and URIs), and
// the bytes of its data.
type message struct {
	attrs []attribute
	data  string
	// base64 says that the data came as data_base64; jsonData that it came as a
	// JSON value without a datacontenttype, which implies application/json.
	base64, jsonData bool
	ttl              int
	// traceparent and tracestate are the HTTP headers the event came with.
	traceparent, tracestate string
}

func (m *message) get(name string) string {
	for i := range m.attrs {
		if m.attrs[i].name == name {
			return m.attrs[i].text()
		}
	}
	return ""
}

func (m *message) has(name string) bool {
	for i := range m.attrs {
		if m.attrs[i].name == name {
			return true
		}
	}
	return false
}

// set replaces or adds an attribute. It copies the slice, as a message may be
// shared between goroutines.
func (m *message) set(name string, k kind, value string) {
	attrs := make([]attribute, 0, len(m.attrs)+1)
	for _, a := range m.attrs {
		if a.name != name {
			attrs = append(attrs, a)
		}
	}
	attrs = append(attrs, attribute{name, k, value})
	m.attrs = attrs
}

func (m *message) digest() string { return digest(m.get("source"), m.get("id")) }

// partition keeps equal partition keys together, and repeats of an event, which
// have the same key, with the first.
func (m *message) partition(partitions int) int {
	if partitions <= 1 {
		return 0
	}
	if key := m.get("partitionkey"); key != "" {
		return partitionOf(key, partitions)
	}
	return partitionOf(m.digest(), partitions)
}

func (a attribute) text() string {
	if a.kind == kindWire {
		return percentDecode(a.value)
	}
	return a.value
}

// The stored form: a version byte, a flag byte, the TTL, the two trace headers,
// the attributes, then the data up to the end. Lengths are uvarints.
const (
	encodingVersion = 1
	flagBase64      = 1 << 0
	flagJSONData    = 1 << 1
)

var errCorrupt = errors.New("corrupt entry")

func (m *message) encode() []byte {
	size := 16 + len(m.traceparent) + len(m.tracestate) + len(m.data)
	for _, a := range m.attrs {
		size += len(a.name) + len(a.value) + 5
	}
	b := make([]byte, 0, size)
	var flags byte
	if m.base64 {
		flags |= flagBase64
	}
	if m.jsonData {
		flags |= flagJSONData
	}
	b = append(b, encodingVersion, flags)
	b = binary.AppendUvarint(b, uint64(max(m.ttl, 0)))
	b = appendString(b, m.traceparent)
	b = appendString(b, m.tracestate)
	b = binary.AppendUvarint(b, uint64(len(m.attrs)))
	for _, a := range m.attrs {
		b = appendString(b, a.name)
		b = append(b, byte(a.kind))
		b = appendString(b, a.value)
	}
	return append(b, m.data...)
}

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// decode reads what encode wrote. The strings of the message share s.
func decode(s string) (*message, error) {
	d := decoder{s: s}
	if version := d.byte(); version != encodingVersion && !d.bad {
		return nil, fmt.Errorf("%w: version %d", errCorrupt, version)
	}
	flags := d.byte()
	m := &message{base64: flags&flagBase64 != 0, jsonData: flags&flagJSONData != 0}
	m.ttl = int(d.uvarint() & 0xffff)
	m.traceparent = d.string()
	m.tracestate = d.string()
	n := d.uvarint()
	if n > uint64(len(d.s)) {
		return nil, errCorrupt
	}
	m.attrs = make([]attribute, 0, n)
	for range n {
		a := attribute{name: d.string(), kind: kind(d.byte()), value: d.string()}
		if d.bad || a.name == "" || a.kind > kindInt {
			return nil, errCorrupt
		}
		m.attrs = append(m.attrs, a)
	}
	if d.bad {
		return nil, errCorrupt
	}
	m.data = d.s
	return m, nil
}

type decoder struct {
	s   string
	bad bool
}

func (d *decoder) byte() byte {
	if len(d.s) == 0 {
		d.bad = true
		return 0
	}
	c := d.s[0]
	d.s = d.s[1:]
	return c
}

func (d *decoder) uvarint() uint64 {
	var x uint64
	for shift := 0; shift < 64; shift += 7 {
		c := d.byte()
		x |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return x
		}
	}
	d.bad = true
	return 0
}

func (d *decoder) string() string {
	n := d.uvarint()
	if d.bad || n > uint64(len(d.s)) {
		d.bad = true
		return ""
	}
	s := d.s[:n]
	d.s = d.s[n:]
	return s
}

// event gives the SDK's view of the message, for filters and the journal. Only
// what the SDK can hold is in it; delivery uses the message itself.
func (m *message) event(withData bool) event.Event {
	c := &event.EventContextV1{}
	for _, a := range m.attrs {
		v := a.text()
		switch a.name {
		case "id":
			c.ID = v
		case "type":
			c.Type = v
		case "source":
			if u := types.ParseURIRef(v); u != nil {
				c.Source = *u
			}
		case "subject":
			c.Subject = &v
		case "datacontenttype":
			c.DataContentType = &v
		case "dataschema":
			c.DataSchema = types.ParseURI(v)
		case "time":
			c.Time, _ = types.ParseTimestamp(v) // checked at ingress
		default:
			if c.Extensions == nil {
				c.Extensions = make(map[string]any, len(m.attrs))
			}
			c.Extensions[a.name] = a.typed(v)
		}
	}
	e := event.Event{Context: c, DataBase64: m.base64}
	if withData && m.data != "" {
		e.DataEncoded = []byte(m.data)
	}
	return e
}

func (a attribute) typed(text string) any {
	switch a.kind {
	case kindBool:
		return text == "true"
	case kindInt:
		if n, err := strconv.ParseInt(text, 10, 32); err == nil {
			return int32(n)
		}
	}
	return text
}
