package cloudevent

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/textproto"
	"strings"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"
)

// Header puts the message's attributes into h for binary mode.
// Rule: CloudEvents HTTP protocol binding 1.0.2 and 0.3, 3.1.3.
func (m *Message) Header(h http.Header) {
	h["Ce-Specversion"] = []string{m.version()}
	contentType := ""
	for _, a := range m.attrs {
		v := a.value
		if a.kind == kindText {
			v = percentEncode(v)
		}
		switch a.name {
		case "datacontenttype":
			contentType = a.text()
			h["Content-Type"] = []string{contentType}
		case "id":
			h["Ce-Id"] = []string{v}
		case "source":
			h["Ce-Source"] = []string{v}
		case "type":
			h["Ce-Type"] = []string{v}
		case "time":
			h["Ce-Time"] = []string{v}
		case "subject":
			h["Ce-Subject"] = []string{v}
		default:
			h[textproto.CanonicalMIMEHeaderKey("Ce-"+a.name)] = []string{v}
		}
	}
	if m.arrived != "" {
		h["Ce-Knativearrivaltime"] = []string{m.arrived}
	}
	if contentType == "" && m.jsonData {
		h["Content-Type"] = []string{"application/json"}
	}
}

func (m *Message) version() string {
	if m.v03 {
		return event.CloudEventsVersionV03
	}
	return event.CloudEventsVersionV1
}

// Trace gives the trace context to send on: that of the request the event came
// with, else that of the distributed tracing extension.
func (m *Message) Trace(h http.Header) {
	parent, state := m.Traceparent, m.Tracestate
	if parent == "" {
		parent, state = m.Get("traceparent"), m.Get("tracestate")
	}
	if parent == "" {
		return
	}
	h["Traceparent"] = []string{parent}
	if state != "" {
		h["Tracestate"] = []string{state}
	}
}

// AppendJSON writes the message in the JSON event format.
func (m *Message) AppendJSON(b *bytes.Buffer) {
	b.WriteString(`{"specversion":"` + m.version() + `"`)
	for _, a := range m.attrs {
		if m.v03 && a.name == encodingAttribute {
			continue // goes with the data
		}
		b.WriteString(`,"` + a.name + `":`)
		if a.kind == kindBool || a.kind == kindInt {
			b.WriteString(a.value)
		} else {
			writeJSONString(b, a.text())
		}
	}
	if m.arrived != "" {
		b.WriteString(`,"` + ArrivalAttribute + `":"` + m.arrived + `"`)
	}
	if m.Data != "" {
		ct := m.Get("datacontenttype")
		switch {
		case m.v03 && m.Has(encodingAttribute) && isBase64(m.Data):
			// It came in binary mode, where the attribute has no meaning. Those who set
			// it there encode the body: old SDKs do.
			b.WriteString(encodedMember)
			writeJSONString(b, m.Data)
		case !m.base64 && (m.jsonData || IsJSON(ct)) && json.Valid([]byte(m.Data)):
			b.WriteString(`,"data":`)
			b.WriteString(m.Data)
		case !m.base64 && ct != "" && !IsJSON(ct) && utf8.ValidString(m.Data):
			b.WriteString(`,"data":`)
			writeJSONString(b, m.Data)
		case m.v03:
			b.WriteString(encodedMember + `"`)
			b.WriteString(base64.StdEncoding.EncodeToString([]byte(m.Data)))
			b.WriteByte('"')
		default:
			b.WriteString(`,"data_base64":"`)
			b.WriteString(base64.StdEncoding.EncodeToString([]byte(m.Data)))
			b.WriteByte('"')
		}
	}
	b.WriteByte('}')
}

// encodedMember begins data that is not text in the JSON format of CloudEvents 0.3.
const encodedMember = `,"` + encodingAttribute + `":"` + encodingBase64 + `","data":`

func isBase64(s string) bool {
	_, err := base64.StdEncoding.DecodeString(s)
	return err == nil
}

func writeJSONString(b *bytes.Buffer, s string) {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always encodes
	b.Truncate(b.Len() - 1)
}

// percentEncode encodes what the HTTP binding says must be: space, '"', '%' and
// all outside printable ASCII.
func percentEncode(s string) string {
	n := 0
	for i := range len(s) {
		if mustEncode(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(s) + 2*n)
	for i := range len(s) {
		c := s[i]
		if mustEncode(c) {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&0xf])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func mustEncode(c byte) bool { return c <= 0x20 || c >= 0x7f || c == '"' || c == '%' }
