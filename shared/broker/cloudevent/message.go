// Package cloudevent is an event as the broker carries it: read from HTTP,
// stored in Redis and written to HTTP again without changing a byte of its data
// or the text of an attribute. It is by hand because the SDK's event.Event
// rewrites times, URIs and JSON on the way.
//
//	parse.go    HTTP → Message (binary, structured, batch)
//	message.go  Message ↔ the stored form
//	render.go   Message → HTTP
//	attributes.go   the attributes as filters ask for them
package cloudevent

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"strconv"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
)

// TTLAttribute is Knative's loop protection. It is kept beside the event, not
// among its attributes, so that subscribers never see it. DefaultTTL is what an
// event without one gets.
const (
	TTLAttribute = "knativebrokerttl"
	DefaultTTL   = 255
)

// SealAttribute is where the pipeline's events prove whose they are (shared/seal).
const SealAttribute = "sweepseal"

// ErrorPrefix begins the names of the attributes by which a dead letter tells how its
// delivery ended. They are taken off what comes in: a publisher who could set them
// would make dead letters.
const ErrorPrefix = "knativeerror"

// ArrivalAttribute is when a broker took the event in, RFC 3339, as Knative's
// multi-tenant broker adds it to what it delivers. Of what comes in it is taken off:
// it was another broker's.
const ArrivalAttribute = "knativearrivaltime"

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

// Message is a CloudEvent as the broker keeps it: every attribute with the
// text it came with (the SDK's event.Event would rewrite times and URIs), and
// the bytes of its data.
type Message struct {
	attrs []attribute
	// Data is the event's data as it came; of data_base64, decoded.
	Data string
	// base64 says that the data came as data_base64, or with 0.3's datacontentencoding;
	// jsonData that it came as a JSON value without a datacontenttype, which implies
	// application/json.
	base64, jsonData bool
	// v03 says that the event is one of CloudEvents 0.3, and stays one.
	v03 bool
	// TTL is how many brokers the event may still pass through; 0 means that none
	// was named, -1 that it was used up.
	TTL int
	// Traceparent and Tracestate are the HTTP headers the event came with.
	Traceparent, Tracestate string
	// arrived is the text of ArrivalAttribute; it is not stored but delivered.
	arrived string
}

// ArrivedAt returns a copy of the message that is delivered with ArrivalAttribute.
func (m *Message) ArrivedAt(at time.Time) *Message {
	out := *m
	out.arrived = at.UTC().Format(time.RFC3339Nano)
	return &out
}

// Get returns the text of an attribute, "" where it is not set.
func (m *Message) Get(name string) string {
	for i := range m.attrs {
		if m.attrs[i].name == name {
			return m.attrs[i].text()
		}
	}
	return ""
}

// Has reports whether an attribute is set.
func (m *Message) Has(name string) bool {
	for i := range m.attrs {
		if m.attrs[i].name == name {
			return true
		}
	}
	return false
}

// SetText replaces or adds a text attribute, SetInt an integer one. It copies the slice, as a message may be
// shared between goroutines.
func (m *Message) SetText(name, value string) { m.set(name, kindText, value) }

// SetInt is SetText for an integer.
func (m *Message) SetInt(name string, value int) { m.set(name, kindInt, strconv.Itoa(value)) }

func (m *Message) set(name string, k kind, value string) {
	attrs := make([]attribute, 0, len(m.attrs)+1)
	for _, a := range m.attrs {
		if a.name != name {
			attrs = append(attrs, a)
		}
	}
	attrs = append(attrs, attribute{name, k, value})
	m.attrs = attrs
}

// Digest is the deduplication identity of an event: 128 bits of SHA-256 over
// source and id, which are told apart by a byte that neither can hold.
// Rule: CloudEvents 1.0.2, "source + id is unique for each distinct event".
//
// Where an event proves who made it, the proof belongs to its identity: else whoever
// guesses an id could have the real event taken for a repeat of a forged one.
func (m *Message) Digest() string {
	buf := make([]byte, 0, 256)
	buf = append(buf, m.Get("source")...)
	buf = append(buf, 0)
	buf = append(buf, m.Get("id")...)
	if proof := m.Get(SealAttribute); proof != "" {
		buf = append(append(buf, 0), proof...)
	}
	sum := sha256.Sum256(buf)
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// TypeDigest tells a reply from the event that it answers where it keeps that
// event's source and id.
func (m *Message) TypeDigest() string {
	sum := sha256.Sum256([]byte(m.Get("type")))
	return base64.RawURLEncoding.EncodeToString(sum[:6])
}

// KeyDigest stands for the partition key where that is too long to be a name.
func (m *Message) KeyDigest() string {
	sum := sha256.Sum256([]byte(m.Get("partitionkey")))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// Partition keeps equal partition keys together, and repeats of an event, which
// have the same key, with the first.
func (m *Message) Partition(partitions int) int {
	if partitions <= 1 {
		return 0
	}
	key := m.Get("partitionkey")
	if key == "" {
		key = m.Digest()
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	return int(h.Sum32() % uint32(partitions))
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
	// encodingV03 is that of events of CloudEvents 0.3: the same otherwise. Who knows of
	// 1.0 only leaves them to others.
	encodingV03  = 2
	flagBase64   = 1 << 0
	flagJSONData = 1 << 1
)

var (
	// ErrCorrupt is wrapped by Decode where the text is not of an encoded Message.
	ErrCorrupt = errors.New("corrupt entry")
	// ErrNewer is wrapped by Decode where a later version has encoded the Message: a
	// process of that version can read it.
	ErrNewer = errors.New("entry of a later version")
)

// EncodedSize is how long the stored form is at most.
func (m *Message) EncodedSize() int {
	size := 16 + len(m.Traceparent) + len(m.Tracestate) + len(m.Data)
	for _, a := range m.attrs {
		size += len(a.name) + len(a.value) + 5
	}
	return size
}

// Encode returns the stored form.
func (m *Message) Encode() []byte {
	b := make([]byte, 0, m.EncodedSize())
	var flags byte
	if m.base64 {
		flags |= flagBase64
	}
	if m.jsonData {
		flags |= flagJSONData
	}
	version := byte(encodingVersion)
	if m.v03 {
		version = encodingV03
	}
	b = append(b, version, flags)
	b = binary.AppendUvarint(b, uint64(max(m.TTL, 0)))
	b = appendString(b, m.Traceparent)
	b = appendString(b, m.Tracestate)
	b = binary.AppendUvarint(b, uint64(len(m.attrs)))
	for _, a := range m.attrs {
		b = appendString(b, a.name)
		b = append(b, byte(a.kind))
		b = appendString(b, a.value)
	}
	return append(b, m.Data...)
}

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// Decode reads what Encode wrote. The strings of the message share s.
func Decode(s string) (*Message, error) {
	d := decoder{s: s}
	version := d.byte()
	switch {
	case d.bad, version == 0:
		return nil, ErrCorrupt
	case version > encodingV03:
		return nil, fmt.Errorf("%w: %d", ErrNewer, version)
	}
	flags := d.byte()
	m := &Message{base64: flags&flagBase64 != 0, jsonData: flags&flagJSONData != 0, v03: version == encodingV03}
	m.TTL = int(d.uvarint() & 0xffff)
	m.Traceparent = d.string()
	m.Tracestate = d.string()
	n := d.uvarint()
	if n > uint64(len(d.s)) {
		return nil, ErrCorrupt
	}
	m.attrs = make([]attribute, 0, n)
	for range n {
		a := attribute{name: d.string(), kind: kind(d.byte()), value: d.string()}
		if d.bad || a.name == "" || a.kind > kindInt {
			return nil, ErrCorrupt
		}
		m.attrs = append(m.attrs, a)
	}
	if d.bad {
		return nil, ErrCorrupt
	}
	m.Data = d.s
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

// Event returns the SDK's view of the message without its data, for filters. Only
// what the SDK can hold is in it; delivery uses the message itself.
func (m *Message) Event() event.Event {
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
		case "subject": // a copy apart: else v would be allocated for every attribute
			c.Subject = new(v)
		case "datacontenttype":
			c.DataContentType = new(v)
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
	if m.arrived != "" {
		if c.Extensions == nil {
			c.Extensions = make(map[string]any, 1)
		}
		c.Extensions[ArrivalAttribute] = m.arrived
	}
	e := event.Event{Context: c, DataBase64: m.base64}
	if m.v03 {
		e.Context = m.contextV03(c)
	}
	return e
}

// contextV03 moves what 0.3 has names of its own for to where the SDK has it.
func (m *Message) contextV03(c *event.EventContextV1) *event.EventContextV03 {
	out := &event.EventContextV03{
		ID: c.ID, Source: c.Source, Type: c.Type, Subject: c.Subject, Time: c.Time, DataContentType: c.DataContentType,
		Extensions: c.Extensions,
	}
	out.SchemaURL = types.ParseURIRef(m.Get("schemaurl"))
	if encoding := m.encoding(); encoding != "" {
		out.DataContentEncoding = &encoding
	}
	delete(out.Extensions, "schemaurl")
	delete(out.Extensions, encodingAttribute)
	if c.DataSchema != nil { // an extension, there
		if out.Extensions == nil {
			out.Extensions = make(map[string]any, 1)
		}
		out.Extensions["dataschema"] = m.Get("dataschema")
	}
	return out
}

// encoding is the datacontentencoding of an event of CloudEvents 0.3.
func (m *Message) encoding() string {
	if m.base64 {
		return encodingBase64
	}
	return m.Get(encodingAttribute)
}

// EventWithData is Event with the data.
func (m *Message) EventWithData() event.Event {
	e := m.Event()
	if m.Data != "" {
		e.DataEncoded = []byte(m.Data)
	}
	return e
}

// FromEvents is ParseHTTP for events that were handed over as they are, with the
// headers of their request: what their JSON format would give.
func FromEvents(h http.Header, events []event.Event) ([]*Message, error) {
	if len(events) > maxBatch {
		return nil, ErrTooMany
	}
	messages := make([]*Message, len(events))
	for i := range events {
		m, err := fromEvent(&events[i])
		if err != nil {
			return nil, fmt.Errorf("event %d: %w", i, err)
		}
		messages[i] = m
	}
	return finish(h, messages...)
}

func fromEvent(e *event.Event) (*Message, error) {
	if e.Context == nil {
		return nil, errors.New("specversion: missing")
	}
	if _, old := e.Context.(*event.EventContextV03); old {
		text, err := json.Marshal(e) // none of ours: this may take its time
		if err != nil {
			return nil, err
		}
		return parseJSON(text)
	}
	c := e.Context.AsV1()
	m := &Message{attrs: make([]attribute, 0, 7+len(c.Extensions)), Data: string(e.DataEncoded), base64: e.DataBase64}
	text := func(name, value string) {
		if value != "" {
			m.attrs = append(m.attrs, attribute{name, kindText, value})
		}
	}
	text("id", c.ID)
	text("source", c.Source.String())
	text("type", c.Type)
	if c.Subject != nil {
		text("subject", *c.Subject)
	}
	if c.DataContentType != nil {
		text("datacontenttype", *c.DataContentType)
	} else {
		m.jsonData = m.Data != "" && !m.base64
	}
	if c.DataSchema != nil {
		text("dataschema", c.DataSchema.String())
	}
	if c.Time != nil {
		text("time", c.Time.String())
	}
	for name, value := range c.Extensions {
		k := kindText
		switch value.(type) {
		case bool:
			k = kindBool
		case int32:
			k = kindInt
		}
		if !validName(name) {
			return nil, fmt.Errorf("attribute %q: names hold only a–z and 0–9", name)
		}
		v, err := types.Format(value)
		if err != nil {
			return nil, fmt.Errorf("attribute %q: %w", name, err)
		}
		m.attrs = append(m.attrs, attribute{name, k, v})
	}
	return m, nil
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
