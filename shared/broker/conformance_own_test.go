package broker

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/servers/servertest"
)

// sample is an event as the specification has it, apart from any encoding: what
// sends and reads it here shares no code with the broker.
type sample struct {
	// attrs are strings, and in the JSON format booleans and numbers.
	attrs map[string]any
	data  []byte
}

func newSample(data []byte, contentType string, attrs ...any) sample {
	s := sample{attrs: map[string]any{"specversion": "1.0", "source": "https://example.com/a?b=c#d", "type": "com.example.t"}, data: data}
	if contentType != "" {
		s.attrs["datacontenttype"] = contentType
	}
	for i := 0; i < len(attrs); i += 2 {
		s.attrs[attrs[i].(string)] = attrs[i+1]
	}
	return s
}

// samples are what the module's cases lack.
func samples() map[string]sample {
	random := make([]byte, 300<<10)
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	return map[string]sample{
		"minimal": newSample(nil, ""),
		"all attributes": newSample([]byte("<a/>"), "application/xml", "subject", "a/b c", "time", "2026-01-02T03:04:05.678901234+01:00",
			"dataschema", "https://example.com/schema?v=1"),
		// Boolean, Integer, String, Binary, URI, URI-reference, Timestamp.
		"all extension types": newSample(nil, "", "exbool", true, "exfalse", false, "exint", json.Number("2147483647"),
			"exneg", json.Number("-2147483648"), "exstring", "text", "exbinary", "TWE=", "exuri", "https://example.com/%C3%A9?q=1",
			"exuriref", "//authority/path", "extime", "2023-03-31T15:12:00Z"),
		"relative source": newSample(nil, "", "source", "#fragment"),
		"unicode": newSample([]byte("Grüße, 世界 🌎"), "text/plain; charset=utf-8", "subject", "Zürich → 東京 🚆", "type", "beispiel.größe",
			"exeuro", "Euro € 😀", "excombined", "é ≠ é"),
		"percent and quotes": newSample(nil, "", "subject", `"100%" \ %41 %zz`, "exspace", " leading and trailing "),
		"a name of 20":       newSample(nil, "", "abcdefghij0123456789", "x"),
		"JSON object":        newSample([]byte(`{"b" : [1, 2.50, 1e3], "a":"<&>€😀", "n":null}`), "application/json"),
		"JSON string":        newSample([]byte(`"text"`), "application/json; charset=utf-8"),
		"JSON null":          newSample([]byte(`null`), "application/json"),
		"JSON suffix":        newSample([]byte(`{"a":1}`), "application/vnd.example+json"),
		"text":               newSample([]byte("line\r\nline\ttab \"quoted\" \\"), "text/plain"),
		"binary":             newSample([]byte("\x00\x01\xfe\xff{}\r\n"), "application/octet-stream"),
		"binary as JSON":     newSample([]byte("\xff no JSON"), "application/json"),
		"large":              newSample(random, "application/octet-stream"),
	}
}

// as is the sample in a version of the specification: what one of 1.0 may have, one of
// 0.3 has by other names.
func (s sample) as(version string) sample {
	s.attrs["specversion"] = version
	if schema := s.attrs["dataschema"]; schema != nil && version == "0.3" {
		delete(s.attrs, "dataschema")
		s.attrs["schemaurl"] = schema
	}
	return s
}

// structured is the sample in the JSON format.
func (s sample) structured(t *testing.T) []byte {
	t.Helper()
	contentType, _ := s.attrs["datacontenttype"].(string)
	out, err := json.Marshal(s.attrs)
	require.NoError(t, err)
	if s.data == nil {
		return out
	}
	member := `"data_base64":"` + base64.StdEncoding.EncodeToString(s.data) + `"`
	if s.attrs["specversion"] == "0.3" {
		member = `"datacontentencoding":"base64","data":"` + base64.StdEncoding.EncodeToString(s.data) + `"`
	}
	switch {
	case strings.Contains(contentType, "json") && json.Valid(s.data):
		member = `"data":` + string(s.data)
	case strings.HasPrefix(contentType, "text/"), strings.HasSuffix(contentType, "/xml"):
		text, err := json.Marshal(string(s.data))
		require.NoError(t, err)
		member = `"data":` + string(text)
	}
	return append(out[:len(out)-1], ","+member+"}"...)
}

// binary is the sample in binary mode. Rule: HTTP protocol binding 3.1.3.2.
func (s sample) binary() (http.Header, []byte) {
	h := http.Header{}
	for k, v := range s.attrs {
		if k == "datacontenttype" {
			h.Set("Content-Type", v.(string))
			continue
		}
		var b strings.Builder
		for _, c := range []byte(fmt.Sprint(v)) {
			if c <= ' ' || c == '"' || c == '%' || c >= 0x7f {
				fmt.Fprintf(&b, "%%%02X", c)
			} else {
				b.WriteByte(c)
			}
		}
		h.Set("Ce-"+k, b.String())
	}
	return h, s.data
}

func readStructured(t *testing.T, raw []byte) sample {
	t.Helper()
	var members map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(raw, &members), "%s", raw)
	s := sample{attrs: map[string]any{}}
	for k, v := range members {
		if k != "data" && k != "data_base64" {
			var value any
			d := json.NewDecoder(bytes.NewReader(v))
			d.UseNumber()
			require.NoError(t, d.Decode(&value))
			s.attrs[k] = value
		}
	}
	arrived(t, s)
	contentType, _ := s.attrs["datacontenttype"].(string)
	if s.attrs["specversion"] == "0.3" && s.attrs["datacontentencoding"] == "base64" {
		delete(s.attrs, "datacontentencoding")
		members["data"], members["data_base64"] = nil, members["data"]
	}
	switch data, encoded := members["data"], members["data_base64"]; {
	case encoded != nil:
		require.Nil(t, data, "both data and data_base64")
		require.NoError(t, json.Unmarshal(encoded, &s.data))
	case data != nil && (contentType == "" || strings.Contains(contentType, "json")):
		s.data = data
	case data != nil:
		var text string
		require.NoError(t, json.Unmarshal(data, &text))
		s.data = []byte(text)
	}
	return s
}

func readBinary(t *testing.T, d delivery) sample {
	t.Helper()
	s := sample{attrs: map[string]any{}, data: d.body}
	for k, v := range d.header {
		name, ok := strings.CutPrefix(k, "Ce-")
		if k == "Content-Type" {
			s.attrs["datacontenttype"] = v[0]
		}
		if !ok {
			continue
		}
		require.Len(t, v, 1, k)
		for _, c := range []byte(v[0]) {
			require.True(t, c > ' ' && c < 0x7f && c != '"', "%s: %q must be encoded", k, v[0])
		}
		text, err := url.PathUnescape(v[0])
		require.NoError(t, err)
		s.attrs[strings.ToLower(name)] = text
	}
	arrived(t, s)
	return s
}

// arrived takes off what the broker adds.
func arrived(t *testing.T, s sample) {
	t.Helper()
	text, _ := s.attrs["knativearrivaltime"].(string)
	_, err := time.Parse(time.RFC3339Nano, text)
	require.NoError(t, err)
	delete(s.attrs, "knativearrivaltime")
}

// asText is what is left of types in binary mode.
func asText(attrs map[string]any) map[string]any {
	out := maps.Clone(attrs)
	for k, v := range out {
		out[k] = fmt.Sprint(v)
	}
	return out
}

func (n *node) send(contentType string, h http.Header, body []byte) int {
	n.t.Helper()
	req, err := http.NewRequestWithContext(n.t.Context(), http.MethodPost, n.url(), bytes.NewReader(body))
	require.NoError(n.t, err)
	if h != nil {
		req.Header = h
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(n.t, err)
	require.NoError(n.t, resp.Body.Close())
	return resp.StatusCode
}

// Each sample goes in by every mode and comes out by every mode, the same: from
// JSON to JSON with its types, else as text, and the data byte for byte.
func TestConformance(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ mode, version string }{
		{"binary", "1.0"}, {"structured", "1.0"}, {"batch", "1.0"}, {"binary", "0.3"}, {"structured", "0.3"}, {"batch", "0.3"},
	} {
		mode := c.mode
		t.Run(mode+" "+c.version, func(t *testing.T) {
			t.Parallel()
			b := setup(t, servertest.Redis(t))
			binary, inJSON, batch := subscribe(t, nil), subscribe(t, nil), subscribe(t, nil)
			formatted, batched := b.trigger("json", inJSON), b.trigger("batch", batch)
			formatted.Delivery.Format, batched.BatchSize, batched.Delivery.Format = FormatJSON, 100, FormatJSON
			n := b.start(b.trigger("binary", binary), formatted, batched)

			want := samples()
			var list [][]byte
			for name, s := range want {
				s = s.as(c.version)
				s.attrs["id"] = "id of " + name
				switch mode {
				case "binary":
					h, body := s.binary()
					require.Equal(t, http.StatusAccepted, n.send("", h, body), name)
				case "structured":
					require.Equal(t, http.StatusAccepted, n.send("application/cloudevents+json; charset=utf-8", nil, s.structured(t)), name)
				default:
					list = append(list, s.structured(t))
				}
			}
			if list != nil {
				body := append(append([]byte("["), bytes.Join(list, []byte(","))...), ']')
				require.Equal(t, http.StatusAccepted, n.send("application/cloudevents-batch+json", nil, body))
			}

			check := func(got sample, typed bool) {
				name := strings.TrimPrefix(got.attrs["id"].(string), "id of ")
				sent := want[name]
				if typed {
					require.Equal(t, sent.attrs, got.attrs, name)
				} else {
					require.Equal(t, asText(sent.attrs), got.attrs, name)
				}
				require.True(t, bytes.Equal(sent.data, got.data), "%s: %.100q", name, got.data)
			}
			for range want {
				check(readBinary(t, binary.next(t)), false)
				d := inJSON.next(t)
				require.Equal(t, "application/cloudevents+json; charset=UTF-8", d.header.Get("Content-Type"))
				check(readStructured(t, d.body), mode != "binary")
			}
			for left := len(want); left > 0; {
				d := batch.next(t)
				if strings.HasPrefix(d.header.Get("Content-Type"), "application/cloudevents+json") { // was alone
					check(readStructured(t, d.body), mode != "binary")
					left--
					continue
				}
				require.Equal(t, "application/cloudevents-batch+json; charset=UTF-8", d.header.Get("Content-Type"))
				var got []json.RawMessage
				require.NoError(t, json.Unmarshal(d.body, &got))
				for _, raw := range got {
					check(readStructured(t, raw), mode != "binary")
				}
				left -= len(got)
			}
			for _, trigger := range []string{"binary", "json", "batch"} {
				b.settled(trigger)
			}
			binary.none(t)
			inJSON.none(t)
			batch.none(t)
		})
	}
}

// A body may be as large as the limit to the byte, in each mode.
func TestConformanceLargest(t *testing.T) {
	t.Parallel()
	b := setup(t, servertest.Redis(t))
	binary, inJSON := subscribe(t, nil), subscribe(t, nil)
	formatted := b.trigger("json", inJSON)
	formatted.Delivery.Format = FormatJSON
	n := b.start(b.trigger("binary", binary), formatted)
	limit := int(b.cfg.MaxEventBytes)
	require.Equal(t, 1<<20, limit)
	for _, mode := range []string{"binary", "structured"} {
		s := newSample([]byte{}, "text/plain", "id", mode)
		room := limit
		if mode == "structured" {
			room -= len(s.structured(t))
		}
		s.data = bytes.Repeat([]byte("x"), room)
		send := func() int {
			if mode == "structured" {
				return n.send("application/cloudevents+json", nil, s.structured(t))
			}
			h, body := s.binary()
			return n.send("", h, body)
		}
		require.Equal(t, http.StatusAccepted, send(), mode)
		for _, got := range []sample{readBinary(t, binary.next(t)), readStructured(t, inJSON.next(t).body)} {
			require.Equal(t, s.attrs, got.attrs)
			require.True(t, bytes.Equal(s.data, got.data))
		}
		s.data, s.attrs["id"] = append(s.data, 'x'), mode+" and one more"
		require.Equal(t, http.StatusRequestEntityTooLarge, send(), mode)
	}
}

// What is no CloudEvent is refused, alone and in a batch.
func TestConformanceInvalid(t *testing.T) {
	t.Parallel()
	b := setup(t, servertest.Redis(t))
	n := b.serve()
	refused := func(name string, body []byte) {
		require.Equal(t, http.StatusBadRequest, n.send("application/cloudevents+json", nil, body), name)
		require.Equal(t, http.StatusBadRequest, n.send("application/cloudevents-batch+json", nil, append(append([]byte("["), body...), ']')), name)
	}
	for k, values := range map[string][]any{
		"specversion": {nil, "", "0.9", "1.1", 1.0}, "id": {nil, "", 25, map[string]any{"a": "b"}}, "type": {nil, "", true}, "source": {nil, "", "://"},
		"time":            {"lunchtime", "", "2018-04-05T18:31Z", "2018-04-05T18:31:00X", "2018-04-05T18:31:00+25:00", "2018-04-05T18:31:00+05", 5},
		"datacontenttype": {"xyz", "", "/", "a/"}, "dataschema": {"", "/relative"}, "subject": {"", 1},
		"MyExtension": {"capitals"}, "my.extension": {"punctuation"}, "größe": {"not ASCII"}, "": {"no name"},
		"ext": {1.5, 2147483648, []string{"a"}, map[string]any{}, "tab\t", "\u0085", "\ufffe", "\U0001fffe"},
	} {
		for _, v := range values {
			s := newSample(nil, "", "id", "1")
			s.attrs[k] = v
			refused(fmt.Sprintf("%s: %v", k, v), s.structured(t))
		}
	}
	for name, member := range map[string]string{
		"both kinds of data": `"data":"text","data_base64":"TWE="`, "data_base64 is no base64": `"data_base64":"?"`,
		"half a surrogate pair": `"ext":"\ud800"`, "no UTF-8": "\"ext\":\"\xff\"",
	} {
		refused(name, []byte(`{"specversion":"1.0","id":"1","source":"/s","type":"t",`+member+`}`))
	}
	require.Equal(t, http.StatusAccepted, n.send("application/cloudevents-batch+json", nil, []byte("[]")))
	length, err := b.rdb.XLen(t.Context(), b.key(0, "history")).Result()
	require.NoError(t, err)
	require.Zero(t, length)
}
