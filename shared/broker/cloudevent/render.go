package cloudevent

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/textproto"
	"strings"
	"unicode/utf8"
)

// Header puts the message's attributes into h for binary mode.
// Rule: CloudEvents HTTP protocol binding 1.0.2, 3.1.3.
func (m *Message) Header(h http.Header) {
	h["Ce-Specversion"] = []string{"1.0"}
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
	if contentType == "" && m.jsonData {
		h["Content-Type"] = []string{"application/json"}
	}
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
	b.WriteString(`{"specversion":"1.0"`)
	for _, a := range m.attrs {
		b.WriteString(`,"` + a.name + `":`)
		if a.kind == kindBool || a.kind == kindInt {
			b.WriteString(a.value)
		} else {
			writeJSONString(b, a.text())
		}
	}
	if m.Data != "" {
		ct := m.Get("datacontenttype")
		switch {
		case !m.base64 && (m.jsonData || IsJSON(ct)) && json.Valid([]byte(m.Data)):
			b.WriteString(`,"data":`)
			b.WriteString(m.Data)
		case !m.base64 && ct != "" && !IsJSON(ct) && utf8.ValidString(m.Data):
			b.WriteString(`,"data":`)
			writeJSONString(b, m.Data)
		default:
			b.WriteString(`,"data_base64":"`)
			b.WriteString(base64.StdEncoding.EncodeToString([]byte(m.Data)))
			b.WriteByte('"')
		}
	}
	b.WriteByte('}')
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
