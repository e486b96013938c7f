package cloudevent

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/zixly/sweepline/shared/rfc3339"
	"github.com/zixly/sweepline/shared/transport"
)

// The media types of the structured and the batched mode, without parameters.
const (
	MediaStructured = "application/cloudevents+json"
	MediaBatch      = "application/cloudevents-batch+json"
)

// ErrUnsupported is wrapped for a body that could be an event in a format not known here.
var ErrUnsupported = errors.New("unsupported media type")

// Why a request asks for more than one may, though its body is short enough: an
// event costs more than it measures.
var (
	ErrTooMany  = errors.New("too many events or attributes")
	ErrTooLarge = errors.New("the events or their attributes are too large")
)

// What one request may make of its bytes.
const (
	maxBatch      = 1000
	maxAttributes = 150
	// maxAttributeBytes bounds the names and values of one event's attributes: no
	// server of ours, a subscriber's least of all, takes longer headers.
	maxAttributeBytes = 60 << 10
	// maxEncoded bounds what the events of one request are stored as.
	maxEncoded = 4 << 20
	// maxTracestate is what the W3C asks to be kept at least.
	maxTracestate = 512
)

// ParseHTTP reads the events of an HTTP request or response: one in binary or
// structured mode, any number in batch mode (if batch is allowed). The TTL is
// taken off the attributes; 0 means none was there, −1 that it was used up.
// Rules: CloudEvents 1.0.2 and 0.3, HTTP binding and JSON format.
func ParseHTTP(h http.Header, body []byte, batch bool) ([]*Message, error) {
	ct := h.Get("Content-Type")
	switch media := mediaType(ct); {
	case media == MediaStructured:
		m, err := parseJSON(body)
		if err != nil {
			return nil, err
		}
		return finish(h, m)
	case media == MediaBatch && batch:
		if transport.Members(body, maxBatch) > maxBatch {
			return nil, ErrTooMany
		}
		var raw []json.RawMessage
		if err := json.Unmarshal(body, &raw); err != nil {
			return nil, fmt.Errorf("parse batch: %w", err)
		}
		messages := make([]*Message, 0, len(raw))
		for i, r := range raw {
			m, err := parseJSON(r)
			if err != nil {
				return nil, fmt.Errorf("event %d: %w", i, err)
			}
			messages = append(messages, m)
		}
		return finish(h, messages...)
	case strings.HasPrefix(media, "application/cloudevents"):
		return nil, fmt.Errorf("%w: %q", ErrUnsupported, media)
	default:
		m, err := parseBinary(h, body)
		if err != nil {
			return nil, err
		}
		return finish(h, m)
	}
}

// IsEvent reports whether a response claims to carry a CloudEvent.
func IsEvent(h http.Header) bool {
	return h.Get("Ce-Specversion") != "" ||
		strings.HasPrefix(mediaType(h.Get("Content-Type")), "application/cloudevents")
}

func mediaType(ct string) string {
	if i := strings.IndexByte(ct, ';'); i >= 0 {
		ct = ct[:i]
	}
	return strings.ToLower(strings.TrimSpace(ct))
}

func parseBinary(h http.Header, body []byte) (*Message, error) {
	m := &Message{attrs: make([]attribute, 0, 12), Data: string(body)}
	version := ""
	for k, v := range h {
		if len(v) == 0 {
			continue
		}
		if k == "Content-Type" {
			m.add("datacontenttype", v[0])
			continue
		}
		name, ok := strings.CutPrefix(k, "Ce-")
		if !ok {
			continue
		}
		name = strings.ToLower(name)
		switch {
		case name == "specversion":
			version = v[0]
		case name == "datacontenttype":
			return nil, errors.New("datacontenttype: belongs into Content-Type in binary mode")
		case !validName(name):
			return nil, fmt.Errorf("attribute %q: names hold only a–z and 0–9", name)
		default:
			m.add(name, v[0])
		}
	}
	return m, m.setVersion(version)
}

func (m *Message) setVersion(version string) error {
	if version != event.CloudEventsVersionV1 && version != event.CloudEventsVersionV03 {
		return fmt.Errorf("specversion: %q, want \"1.0\" or \"0.3\"", version)
	}
	m.v03 = version == event.CloudEventsVersionV03
	return nil
}

// add keeps a header value, decoded only where that changes nothing on the wire.
func (m *Message) add(name, v string) {
	k := kindText
	for i := range len(v) {
		if mustEncode(v[i]) {
			k = kindWire
			break
		}
	}
	m.attrs = append(m.attrs, attribute{name, k, v})
}

func parseJSON(body []byte) (*Message, error) {
	const besides = 4 // specversion, data, data_base64, the TTL
	if len(body) > 16<<10 && transport.Members(body, maxAttributes+besides) > maxAttributes+besides {
		return nil, ErrTooMany
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, fmt.Errorf("parse event: %w", err)
	}
	m := &Message{attrs: make([]attribute, 0, len(fields))}
	version := ""
	if raw := fields["specversion"]; raw != nil {
		if k, v, err := scalar(raw); err == nil && k == kindText {
			version = v
		}
	}
	if err := m.setVersion(version); err != nil {
		return nil, err
	}
	var data, encoded json.RawMessage
	for name, raw := range fields {
		switch {
		case name == "specversion":
			continue
		case name == "data":
			data = raw
			continue
		case name == "data_base64" && !m.v03:
			encoded = raw
			continue
		}
		if !validName(name) {
			return nil, fmt.Errorf("attribute %q: names hold only a–z and 0–9", name)
		}
		k, v, err := scalar(raw)
		if err != nil {
			return nil, fmt.Errorf("attribute %q: %w", name, err)
		}
		switch {
		case k == kindNull:
		case m.standard(name) && (k != kindText || v == ""):
			return nil, fmt.Errorf("attribute %q: must be a string that is not empty", name)
		default:
			m.attrs = append(m.attrs, attribute{name, k, v})
		}
	}
	if m.v03 && data != nil && strings.EqualFold(m.Get(encodingAttribute), encodingBase64) {
		data, encoded = nil, data // its other name
	}
	return m, m.setJSONData(data, encoded)
}

// kindNull is a JSON null: the attribute is not set.
const kindNull kind = 0xff

func scalar(raw json.RawMessage) (kind, string, error) {
	switch c := raw[0]; {
	case c == '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return 0, "", fmt.Errorf("parse string: %w", err)
		}
		if strings.ContainsRune(s, utf8.RuneError) && !namesReplacement(raw) {
			return 0, "", errors.New("must be valid Unicode") // what the decoder has papered over
		}
		return kindText, s, nil
	case c == 't' || c == 'f':
		return kindBool, string(raw), nil
	case c == 'n':
		return kindNull, "", nil
	case c == '-' || (c >= '0' && c <= '9'):
		if _, err := strconv.ParseInt(string(raw), 10, 32); err != nil {
			return 0, "", fmt.Errorf("%s: must be a 32-bit integer", raw)
		}
		return kindInt, string(raw), nil
	}
	return 0, "", errors.New("must be a string, a boolean or an integer")
}

// namesReplacement reports whether a JSON string itself holds the replacement
// character, which is also what encoding/json puts in the place of bad UTF-8 and
// of half a surrogate pair.
func namesReplacement(raw []byte) bool {
	return bytes.Contains(raw, []byte("\uFFFD")) || bytes.Contains(bytes.ToLower(raw), []byte(`\ufffd`))
}

func (m *Message) setJSONData(data, encoded json.RawMessage) error {
	switch {
	case data != nil && encoded != nil:
		return errors.New("data and data_base64 exclude each other")
	case encoded != nil && string(encoded) != "null":
		var s string
		if err := json.Unmarshal(encoded, &s); err != nil {
			return fmt.Errorf("data_base64: %w", err)
		}
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return fmt.Errorf("data_base64: %w", err)
		}
		m.Data, m.base64 = string(b), true
	case data != nil:
		ct := m.Get("datacontenttype")
		if ct == "" || IsJSON(ct) {
			m.Data, m.jsonData = string(data), ct == ""
			return nil
		}
		var s string
		if err := json.Unmarshal(data, &s); err != nil {
			return fmt.Errorf("data: must be a string where datacontenttype is %q", ct)
		}
		m.Data = s
	}
	return nil
}

// IsJSON reports whether a media type is of JSON.
func IsJSON(contentType string) bool {
	media := mediaType(contentType)
	return media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json")
}

// finish checks the messages, takes the TTL off and adds the trace headers.
func finish(h http.Header, messages ...*Message) ([]*Message, error) {
	size := 0
	for i, m := range messages {
		if err := m.normalize(); err != nil {
			if len(messages) > 1 {
				return nil, fmt.Errorf("event %d: %w", i, err)
			}
			return nil, err
		}
		if parent := h.Get("Traceparent"); validTraceparent(parent) {
			m.Traceparent = parent
			if state := strings.Join(h.Values("Tracestate"), ","); len(state) <= maxTracestate {
				m.Tracestate = state
			}
		}
		if size += m.EncodedSize(); size > maxEncoded && len(messages) > 1 {
			return nil, ErrTooLarge
		}
	}
	return messages, nil
}

// validTraceparent reports whether v has the form of a traceparent header.
// Rule: W3C Trace Context, 3.2: version, trace id, parent id and flags in hex; no
// version ff, no id of zeros; a later version may append to them.
func validTraceparent(v string) bool {
	const noTrace, noParent = "00000000000000000000000000000000", "0000000000000000"
	if len(v) < 55 || len(v) > 128 || (len(v) > 55 && (v[55] != '-' || v[:2] == "00")) {
		return false
	}
	if v[:2] == "ff" || v[3:35] == noTrace || v[36:52] == noParent {
		return false
	}
	for i := range 55 {
		c := v[i]
		switch i {
		case 2, 35, 52:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return true
}

func (m *Message) normalize() error {
	if len(m.attrs) > maxAttributes {
		return ErrTooMany
	}
	size := 0
	for _, a := range m.attrs {
		size += len(a.name) + len(a.value)
	}
	if size > maxAttributeBytes {
		return ErrTooLarge
	}
	var errs []error
	kept := m.attrs[:0]
	for _, a := range m.attrs {
		v := a.text()
		if a.name == TTLAttribute {
			ttl, err := strconv.Atoi(strings.TrimSpace(v))
			switch {
			case err != nil: // as Knative does: an unreadable TTL counts as none
			case ttl <= 0:
				m.TTL = -1
			default:
				m.TTL = min(ttl, 0xffff)
			}
			continue
		}
		if v == "" && m.standard(a.name) {
			continue // not set
		}
		if m.v03 && m.base64 && a.name == encodingAttribute {
			continue // base64 says it
		}
		if strings.HasPrefix(a.name, ErrorPrefix) || a.name == ArrivalAttribute {
			continue
		}
		if err := m.checkAttribute(a.name, v); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", a.name, err))
		}
		kept = append(kept, a)
	}
	m.attrs = kept
	for _, name := range [...]string{"id", "source", "type"} {
		if strings.TrimSpace(m.Get(name)) == "" {
			errs = append(errs, fmt.Errorf("%s: missing", name))
		}
	}
	return errors.Join(errs...)
}

// checkAttribute wants what the type system of CloudEvents does: of a string,
// Unicode without control characters and noncharacters.
func (m *Message) checkAttribute(name, v string) error {
	if !utf8.ValidString(v) {
		return errors.New("must be valid UTF-8")
	}
	for _, r := range v {
		switch {
		case r < 0x20, r >= 0x7f && r < 0xa0:
			return errors.New("holds a control character")
		case r&0xfffe == 0xfffe, r >= 0xfdd0 && r <= 0xfdef:
			return errors.New("holds a noncharacter")
		}
	}
	if !m.standard(name) {
		return nil
	}
	switch name {
	case "source", "schemaurl":
		if _, err := url.Parse(v); err != nil {
			return errors.New("must be a URI reference")
		}
	case encodingAttribute:
		if !strings.EqualFold(v, encodingBase64) {
			return errors.New("is not base64")
		}
	case "dataschema":
		if u, err := url.Parse(v); err != nil || !u.IsAbs() {
			return errors.New("must be an absolute URI")
		}
	case "time":
		if _, err := rfc3339.Parse(v); err != nil {
			return errors.New("must be an RFC 3339 time")
		}
	case "datacontenttype":
		if v == "application/json" {
			return nil
		}
		media, _, err := mime.ParseMediaType(v)
		if kind, sub, ok := strings.Cut(media, "/"); err != nil || !ok || kind == "" || sub == "" {
			return errors.New("must be a media type")
		}
	}
	return nil
}

// The attribute of CloudEvents 0.3 which says that data is encoded, and its one value.
const (
	encodingAttribute = "datacontentencoding"
	encodingBase64    = "base64"
)

// standard reports whether the event's version of the specification defines the name.
func (m *Message) standard(name string) bool {
	switch name {
	case "id", "source", "type", "specversion", "subject", "time", "datacontenttype":
		return true
	case "dataschema":
		return !m.v03
	case "schemaurl", encodingAttribute:
		return m.v03
	}
	return false
}

func validName(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && s != "data"
}

// percentDecode does the one round of decoding that the HTTP binding asks of a
// receiver: a quoted string is unquoted, then %XX are decoded. What is no
// escape, or would not give UTF-8, is left as it is.
func percentDecode(v string) string {
	s := v
	if n := len(s); n >= 2 && s[0] == '"' && s[n-1] == '"' {
		s = unquote(s[1 : n-1])
	}
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b = append(b, byte(c))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	if !utf8.Valid(b) {
		return s
	}
	return string(b)
}

func unquote(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b bytes.Buffer
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
