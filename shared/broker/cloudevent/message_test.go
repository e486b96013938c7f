package cloudevent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"
)

// Every attribute type and kind of data, in each mode, reaches the subscriber as
// it was published: the conformance cases of CloudEvents.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	structured := http.Header{"Content-Type": {MediaStructured}}
	for name, c := range map[string]struct {
		in string
		// header and body are what binary delivery must give.
		header map[string]string
		body   string
	}{
		"all types": {
			`{"specversion":"1.0","id":"1","source":"https://a/b?c=d#e","type":"t","subject":"s","time":"2020-01-01T00:00:00.5+02:00",
			"dataschema":"urn:x:y","datacontenttype":"application/xml","b":true,"i":-7,"s":"x","data":"<a/>"}`,
			map[string]string{
				"Ce-Source": "https://a/b?c=d#e", "Ce-Subject": "s", "Ce-Time": "2020-01-01T00:00:00.5+02:00",
				"Ce-Dataschema": "urn:x:y", "Content-Type": "application/xml", "Ce-B": "true", "Ce-I": "-7", "Ce-S": "x",
			}, "<a/>",
		},
		"unicode": {
			`{"specversion":"1.0","id":"1","source":"/s","type":"t","e":"Euro € 😀","q":"\"100%\""}`,
			map[string]string{"Ce-E": "Euro%20%E2%82%AC%20%F0%9F%98%80", "Ce-Q": "%22100%25%22"}, "",
		},
		"JSON data": {
			`{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"application/json","data":{"a" : [1, 2.50]}}`,
			map[string]string{"Content-Type": "application/json"}, `{"a" : [1, 2.50]}`,
		},
		"implied JSON": {
			`{"specversion":"1.0","id":"1","source":"/s","type":"t","data":"text"}`,
			map[string]string{"Content-Type": "application/json"}, `"text"`,
		},
		"base64": {
			`{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"application/octet-stream","data_base64":"AP8="}`,
			map[string]string{"Content-Type": "application/octet-stream"}, "\x00\xff",
		},
		"0.3": {
			`{"specversion":"0.3","id":"1","source":"https://a/b?c=d#e","type":"t","subject":"s","time":"2020-01-01T00:00:00.5+02:00",
			"schemaurl":"/relative#x","dataschema":"of an extension","datacontenttype":"application/xml","b":true,"i":-7,"data":"<a/>"}`,
			map[string]string{
				"Ce-Specversion": "0.3", "Ce-Schemaurl": "/relative#x", "Content-Type": "application/xml", "Ce-Datacontentencoding": "",
			}, "<a/>",
		},
		"0.3, JSON": {
			`{"specversion":"0.3","id":"1","source":"/s","type":"t","datacontenttype":"application/json","data":{"a" : [1, 2.50]}}`,
			map[string]string{"Content-Type": "application/json"}, `{"a" : [1, 2.50]}`,
		},
		"0.3, base64": {
			`{"specversion":"0.3","id":"1","source":"/s","type":"t","datacontenttype":"image/png","datacontentencoding":"base64","data":"AP8="}`,
			map[string]string{"Content-Type": "image/png", "Ce-Datacontentencoding": ""}, "\x00\xff",
		},
		"0.3, JSON in base64": {
			`{"specversion":"0.3","id":"1","source":"/s","type":"t","datacontenttype":"application/json","datacontentencoding":"base64","data":"e30="}`,
			map[string]string{"Content-Type": "application/json"}, "{}",
		},
		"0.3 without data": {
			`{"specversion":"0.3","id":"1","source":"/s","type":"t"}`,
			map[string]string{"Ce-Specversion": "0.3", "Content-Type": ""}, "",
		},
	} {
		messages, err := ParseHTTP(structured, []byte(c.in), true)
		require.NoError(t, err, name)
		m, err := Decode(string(messages[0].Encode()))
		require.NoError(t, err, name)
		h := http.Header{}
		m.Header(h)
		for k, v := range c.header {
			require.Equal(t, v, h.Get(k), "%s: %s", name, k)
		}
		require.Equal(t, c.body, m.Data, name)

		// Structured again: the same JSON.
		var b bytes.Buffer
		m.AppendJSON(&b)
		require.JSONEq(t, c.in, b.String(), name)

		// Binary again: the same headers and bytes.
		again, err := ParseHTTP(h, []byte(m.Data), false)
		require.NoError(t, err, name)
		h2 := http.Header{}
		again[0].Header(h2)
		require.Equal(t, h, h2, name)
		for _, a := range again[0].attrs {
			if a.name != "datacontenttype" {
				require.Equal(t, m.Get(a.name), a.text(), "%s: %s", name, a.name)
			}
		}
	}
}

func TestBinaryHeadersPassUnchanged(t *testing.T) {
	t.Parallel()
	for _, v := range []string{"plain", "a b", "50%", "%41", "%e2%82%ac", "€", `"quoted \" x"`, "a%2Fb", "%zz", ""} {
		h := http.Header{"Ce-Specversion": {"1.0"}, "Ce-Id": {"1"}, "Ce-Source": {"/s"}, "Ce-Type": {"t"}, "Ce-X": {v}}
		messages, err := ParseHTTP(h, nil, false)
		require.NoError(t, err, v)
		m, err := Decode(string(messages[0].Encode()))
		require.NoError(t, err)
		out := http.Header{}
		m.Header(out)
		require.Equal(t, v, out.Get("Ce-X"))
	}
}

func TestPercentDecode(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a": "a", "%41": "A", "%e2%82%ac": "€", "50%": "50%", "%zz": "%zz", `"a b"`: "a b", `"a\"b"`: `a"b`, "%ff": "%ff", `"`: `"`,
	} {
		require.Equal(t, want, percentDecode(in), in)
	}
}

func TestDigestTellsSourceFromID(t *testing.T) {
	t.Parallel()
	one, other := &Message{}, &Message{}
	one.SetText("source", "a")
	one.SetText("id", "bc")
	other.SetText("source", "ab")
	other.SetText("id", "c")
	require.NotEqual(t, one.Digest(), other.Digest())
}

func FuzzParse(f *testing.F) {
	f.Add("application/cloudevents+json", "", `{"specversion":"1.0","id":"1","source":"/s","type":"t","x":1,"data":{}}`)
	f.Add("application/cloudevents-batch+json", "", `[{"specversion":"1.0","id":"1","source":"/s","type":"t","data_base64":"AA=="}]`)
	f.Add("text/plain", "50%\"€", "data")
	f.Add("application/cloudevents+json", "", `{"specversion":"0.3","id":"1","source":"/s","type":"t","datacontentencoding":"base64","data":"AA=="}`)
	f.Add("image/png", "0.3", "\xff")
	f.Fuzz(func(t *testing.T, contentType, ext, body string) {
		h := http.Header{
			"Content-Type": {contentType}, "Ce-Specversion": {"1.0"}, "Ce-Id": {"1"}, "Ce-Source": {"/s"},
			"Ce-Type": {"t"}, "Ce-X": {ext},
		}
		if strings.Contains(ext, "0.3") {
			h.Set("Ce-Specversion", "0.3")
			h.Set("Ce-Datacontentencoding", "base64")
		}
		messages, err := ParseHTTP(h, []byte(body), true)
		if err != nil {
			return
		}
		for _, m := range messages {
			back, err := Decode(string(m.Encode()))
			require.NoError(t, err)
			require.Equal(t, m.attrs, append([]attribute{}, back.attrs...))
			require.Equal(t, m.Data, back.Data)
			var b bytes.Buffer
			back.AppendJSON(&b)
			require.True(t, json.Valid(b.Bytes()), b.String())
			again, err := parseJSON(b.Bytes())
			require.NoError(t, err)
			require.NoError(t, again.normalize())
			require.Equal(t, m.Digest(), again.Digest())
			require.Equal(t, m.v03, again.v03)
			out := http.Header{}
			back.Header(out)
			for k, vs := range out {
				require.False(t, strings.ContainsAny(vs[0], "\r\n\x00"), k)
			}
			_ = back.EventWithData()
		}
	})
}

func FuzzDecode(f *testing.F) {
	m := Message{attrs: []attribute{{"id", kindText, "1"}, {"x", kindInt, "7"}}, Data: "data", TTL: 255}
	f.Add(string(m.Encode()))
	f.Add("\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
	f.Fuzz(func(t *testing.T, s string) {
		m, err := Decode(s)
		if err != nil {
			require.True(t, errors.Is(err, ErrCorrupt) || errors.Is(err, ErrNewer), err)
			return
		}
		again, err := Decode(string(m.Encode()))
		require.NoError(t, err)
		require.Equal(t, m, again)
	})
}

// An event that is handed over is stored and delivered as if it had come as JSON.
func TestFromEventsIsJSON(t *testing.T) {
	t.Parallel()
	parent := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	h := http.Header{"Content-Type": {MediaStructured}, "Traceparent": {parent}}
	of := func(change func(*event.Event)) event.Event {
		e := event.New()
		e.SetID("1")
		e.SetSource("/s")
		e.SetType("t")
		change(&e)
		return e
	}
	for name, e := range map[string]event.Event{
		"nothing": of(func(*event.Event) {}),
		"all": of(func(e *event.Event) {
			e.SetSubject("s €")
			e.SetTime(time.Date(2020, 1, 1, 0, 0, 0, 5e8, time.FixedZone("", 7200)))
			e.SetDataSchema("urn:x:y")
			e.SetExtension("b", true)
			e.SetExtension("i", -7)
			e.SetExtension("s", `"100%"`)
			e.SetExtension("bytes", []byte{0, 255})
			e.SetExtension("at", time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC))
			e.SetExtension("link", &url.URL{Scheme: "https", Host: "a", Path: "/b c"})
			require.NoError(t, e.SetData("application/json", map[string]any{"a": 1.5, "b": "<&>"}))
		}),
		"time to live": of(func(e *event.Event) { e.SetExtension(TTLAttribute, 3) }),
		"used up":      of(func(e *event.Event) { e.SetExtension(TTLAttribute, 0) }),
		"text":         of(func(e *event.Event) { require.NoError(t, e.SetData("text/plain", "<a> €")) }),
		"bytes": of(func(e *event.Event) {
			require.NoError(t, e.SetData("application/octet-stream", []byte{0, 255}))
			e.DataBase64 = true
		}),
		"no type of data": of(func(e *event.Event) { e.DataEncoded = []byte(`{"a":1}`) }),
		"0.3": of(func(e *event.Event) {
			e.SetDataSchema("urn:x:y")
			e.SetExtension("i", -7)
			e.SetSpecVersion(event.CloudEventsVersionV03)
			require.NoError(t, e.SetData("application/json", map[string]any{"a": 1.5}))
		}),
		"0.3, bytes": of(func(e *event.Event) {
			e.SetSpecVersion(event.CloudEventsVersionV03)
			e.SetDataContentType("image/png")
			e.DataEncoded, e.DataBase64 = []byte{0, 255}, true
			require.NoError(t, e.Context.DeprecatedSetDataContentEncoding("base64"))
		}),
		"no id":   of(func(e *event.Event) { e.SetID("") }),
		"control": of(func(e *event.Event) { e.SetSubject("a\x01") }),
	} {
		encoded, err := json.Marshal(event.Event{Context: e.Context, DataEncoded: e.DataEncoded, DataBase64: e.DataBase64})
		require.NoError(t, err, name)
		want, wantErr := ParseHTTP(h, encoded, true)
		got, err := FromEvents(h, []event.Event{e})
		if wantErr != nil {
			require.ErrorContains(t, err, wantErr.Error(), name)
			continue
		}
		require.NoError(t, err, name)
		for _, m := range []*Message{got[0], want[0]} {
			slices.SortFunc(m.attrs, func(a, b attribute) int { return strings.Compare(a.name, b.name) })
		}
		require.Equal(t, want[0], got[0], name)

		// And back.
		var b bytes.Buffer
		got[0].AppendJSON(&b)
		var read event.Event
		require.NoError(t, json.Unmarshal(b.Bytes(), &read), name)
		handed := got[0].EventWithData()
		require.Equal(t, read.DataEncoded, handed.DataEncoded, name)
		require.Equal(t, read.DataBase64, handed.DataBase64, name)
		require.Equal(t, read.SpecVersion(), handed.SpecVersion(), name)
		require.Equal(t, read.Context.AsV1().String(), handed.Context.AsV1().String(), name)
	}
}

// batchOf is a batch of n events, each with more members.
func batchOf(n int, more string) []byte {
	var b bytes.Buffer
	b.WriteByte('[')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"specversion":"1.0","id":"%d","source":"/s","type":"t"%s}`, i, more)
	}
	b.WriteByte(']')
	return b.Bytes()
}

func TestWhatOneRequestMayAskFor(t *testing.T) {
	t.Parallel()
	batch, single := http.Header{"Content-Type": {MediaBatch}}, http.Header{"Content-Type": {MediaStructured}}
	var names strings.Builder
	for i := range 60_000 {
		fmt.Fprintf(&names, `,"a%d":1`, i)
	}
	for name, c := range map[string]struct {
		header http.Header
		body   string
		want   error
	}{
		"as many as may be":      {batch, string(batchOf(maxBatch, "")), nil},
		"one too many":           {batch, string(batchOf(maxBatch+1, "")), ErrTooMany},
		"half a million numbers": {batch, "[" + strings.Repeat("1,", 500_000) + "1]", ErrTooMany},
		"members of data":        {single, `{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"x":1` + names.String() + `}}`, nil},
		"members of an event":    {single, `{"specversion":"1.0","id":"1","source":"/s","type":"t"` + names.String() + `}`, ErrTooMany},
		"a long attribute":       {single, `{"specversion":"1.0","id":"1","source":"/s","type":"t","x":"` + strings.Repeat("x", maxAttributeBytes) + `"}`, ErrTooLarge},
		"large events":           {batch, string(batchOf(6, `,"data":"`+strings.Repeat("x", maxEncoded/5)+`"`)), ErrTooLarge},
	} {
		messages, err := ParseHTTP(c.header, []byte(c.body), true)
		require.ErrorIs(t, err, c.want, name)
		require.Equal(t, c.want == nil, len(messages) > 0, name)
	}
}

// What a few headers say is kept with each event of a batch.
func TestTraceHeadersAreKeptAsFarAsTheyAreSome(t *testing.T) {
	t.Parallel()
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for name, c := range map[string]struct {
		parent        string
		state         []string
		parentIs, tag bool
	}{
		"both":                {parent, []string{"a=1"}, true, true},
		"a state of two":      {parent, []string{"a=1", "b=2"}, true, true},
		"a later version":     {"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", []string{"a=1"}, true, true},
		"a long state":        {parent, []string{"a=" + strings.Repeat("x", maxTracestate)}, true, false},
		"long together":       {parent, []string{"a=" + strings.Repeat("x", 300), "b=" + strings.Repeat("x", 300)}, true, false},
		"a state alone":       {"", []string{"a=1"}, false, false},
		"no hex":              {strings.Replace(parent, "a", "g", 1), []string{"a=1"}, false, false},
		"version ff":          {"ff" + parent[2:], []string{"a=1"}, false, false},
		"no trace":            {"00-00000000000000000000000000000000-b7ad6b7169203331-01", []string{"a=1"}, false, false},
		"no parent":           {"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", []string{"a=1"}, false, false},
		"this version longer": {parent + "-more", []string{"a=1"}, false, false},
	} {
		h := http.Header{"Content-Type": {MediaBatch}, "Traceparent": {c.parent}, "Tracestate": c.state}
		messages, err := ParseHTTP(h, batchOf(3, ""), true)
		require.NoError(t, err, name)
		for _, m := range messages {
			require.Equal(t, c.parentIs, m.Traceparent != "", name)
			require.Equal(t, c.tag, m.Tracestate != "", name)
		}
	}
}
