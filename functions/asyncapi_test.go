package functions_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions"
	"github.com/zixly/sweepline/shared/event"
)

// events is the folder of the events; asyncAPI the document beside their schemas.
var (
	events   = filepath.Join("..", "shared", "event")
	asyncAPI = filepath.Join(events, "asyncapi.json")
)

type object = map[string]any

func ref(to string) object { return object{"$ref": to} }

// goldenEvent is the golden event of a type.
func goldenEvent(t *testing.T, typ string) object {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(events, "testdata", typ+".json"))
	require.NoError(t, err)
	var e object
	require.NoError(t, json.Unmarshal(text, &e))
	return e
}

// schemaOf is the JSON Schema of a type's data.
func schemaOf(t *testing.T, typ string) object {
	t.Helper()
	text, err := event.Schemas.ReadFile("schemas/" + typ + ".json")
	require.NoError(t, err)
	var s object
	require.NoError(t, json.Unmarshal(text, &s))
	return s
}

// attributes are the schema of an event's attributes, as headers of CloudEvents in
// binary mode.
func attributes() object {
	text := object{"type": "string", "minLength": 1}
	of := func(description string, more ...object) object {
		o := object{"type": "string", "description": description}
		for _, m := range more {
			for k, v := range m {
				o[k] = v
			}
		}
		return o
	}
	return object{
		"type":     "object",
		"required": []any{"ce-specversion", "ce-id", "ce-source", "ce-type", "ce-subject", "ce-time", "ce-dataschema", "ce-tenantid", "ce-partitionkey"},
		"properties": object{
			"ce-specversion":  object{"const": "1.0"},
			"ce-id":           of("The job's id and the step: the same step of the same job has the same id, so that a repeat is recognized.", text),
			"ce-source":       of("The function that sends it: /sweepline/NAME.", object{"pattern": "^/sweepline/[a-z]+$"}),
			"ce-type":         of("The event's type.", text),
			"ce-subject":      of("The job's id.", object{"format": "uuid"}),
			"ce-time":         of("When it happened.", object{"format": "date-time"}),
			"ce-dataschema":   of("The $id of the JSON Schema of its data.", object{"pattern": "^urn:sweepline:schema:"}),
			"ce-tenantid":     of("The job's tenant.", text),
			"ce-partitionkey": of("The job's id: the events of a job are in one partition.", object{"format": "uuid"}),
			"ce-sweepseal":    of("The HMAC by which a function believes the event."),
			"ce-traceparent":  of("W3C Trace Context."),
			"ce-tracestate":   of("W3C Trace Context."),
		},
	}
}

// asHeaders are the attributes of an event as headers.
func asHeaders(e object) object {
	h := object{}
	for name, v := range e {
		if name != "data" && name != "datacontenttype" {
			h["ce-"+name] = v
		}
	}
	return h
}

// describeEvents makes the AsyncAPI document: of the table of steps, the schemas and the
// golden events.
func describeEvents(t *testing.T) object {
	t.Helper()
	messages, inChannel, operations := object{}, object{}, object{}
	for _, typ := range event.Types() {
		s := schemaOf(t, typ)
		e := goldenEvent(t, typ)
		inChannel[typ] = ref("#/components/messages/" + typ)
		messages[typ] = object{
			"name": typ, "title": strings.TrimSuffix(strings.TrimPrefix(typ, "com.zixly."), ".v1"), "summary": s["description"],
			"contentType": "application/json",
			"headers":     ref("#/components/schemas/attributes"),
			"payload":     object{"schemaFormat": "application/schema+json;version=draft-2020-12", "schema": ref("schemas/" + typ + ".json")},
			"examples":    []any{object{"name": "golden", "headers": asHeaders(e), "payload": e["data"]}},
		}
	}
	for _, step := range functions.Pipeline {
		for action, types := range map[string][]string{"send": step.Emits, "receive": step.Takes} {
			if len(types) == 0 {
				continue
			}
			var of []any
			for _, typ := range types {
				of = append(of, ref("#/channels/events/messages/"+typ))
			}
			operations[step.Name+"."+action] = object{
				"action": action, "channel": ref("#/channels/events"), "title": step.Name, "summary": step.Does,
				"tags": []any{object{"name": step.Name}}, "messages": of,
			}
		}
	}
	return object{
		"asyncapi": "3.0.0",
		"info": object{
			"title": "sweepline events", "version": "1.0.0",
			"description": "The CloudEvents by which the functions of sweepline know each other. " +
				"Each carries its job's header, so that any one of them is enough to know the job. " +
				"They may come twice, late and out of order. A new form of data is a new type.",
			"license": object{"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
		},
		"defaultContentType": "application/json",
		"servers": object{
			"laptop": object{
				"host": "localhost:8081", "protocol": "http", "description": "The broker of `sweepline up`: the functions' K_SINK.",
			},
		},
		"channels": object{
			"events": object{
				"address": "/{namespace}/{broker}", "title": "Broker",
				"description": "A Knative Broker. Events are posted to it as CloudEvents 1.0 over HTTP, binary or structured; " +
					"its Triggers say which function is given which.",
				"parameters": object{
					"namespace": object{"description": "The Broker's namespace.", "default": "sweepline"},
					"broker":    object{"description": "The Broker's name.", "default": "default"},
				},
				"messages": inChannel,
			},
		},
		"operations": operations,
		"components": object{"messages": messages, "schemas": object{"attributes": attributes()}},
	}
}

// TestAsyncAPI keeps the document of the events that of the code.
func TestAsyncAPI(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	require.NoError(t, enc.Encode(describeEvents(t)))
	if *update {
		require.NoError(t, os.WriteFile(asyncAPI, out.Bytes(), 0o644))
	}
	now, err := os.ReadFile(asyncAPI)
	require.NoError(t, err)
	require.Equal(t, out.String(), string(now), "go test ./functions -update")
}

// The document is AsyncAPI 3.0, by the project's own schema (github.com/asyncapi/spec-json-schemas,
// Apache-2.0), and has each type of event, with the schema of its data and an example
// of it.
func TestAsyncAPIIsValidAndWhole(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(asyncAPI)
	require.NoError(t, err)
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	meta := asyncAPISchema(t)
	require.NoError(t, meta.Validate(document))
	require.Error(t, meta.Validate(object{
		"asyncapi": "3.0.0", "info": object{"title": "t", "version": "1"}, "operations": object{"o": object{"action": "shout"}},
	}))

	var d struct {
		Channels   map[string]struct{ Messages map[string]any }
		Operations map[string]struct{ Messages []map[string]string }
		Components struct {
			Messages map[string]struct {
				Payload  struct{ Schema map[string]string }
				Examples []struct{ Headers, Payload any }
			}
		}
	}
	require.NoError(t, json.Unmarshal(text, &d))
	files, err := os.ReadDir(filepath.Join(events, "schemas"))
	require.NoError(t, err)
	require.Len(t, d.Components.Messages, len(files), "a message for each schema")
	heads := compileAt(t, "urn:asyncapi", document, "#/components/schemas/attributes")
	for _, typ := range event.Types() {
		m, ok := d.Components.Messages[typ]
		require.True(t, ok, typ)
		require.Contains(t, d.Channels["events"].Messages, typ)
		file := m.Payload.Schema["$ref"]
		raw, err := os.ReadFile(filepath.Join(events, file))
		require.NoError(t, err)
		schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		require.NoError(t, err)
		require.Len(t, m.Examples, 1)
		require.NoError(t, compileAt(t, event.SchemaURN(typ), schema, "").Validate(m.Examples[0].Payload), typ)
		require.NoError(t, heads.Validate(m.Examples[0].Headers), typ)
		for _, action := range []string{".send", ".receive"} {
			require.True(t, slices.ContainsFunc(functions.Pipeline, func(s functions.Step) bool {
				return slices.ContainsFunc(d.Operations[s.Name+action].Messages, func(r map[string]string) bool { return strings.HasSuffix(r["$ref"], "/"+typ) })
			}), "nobody has %s%s", typ, action)
		}
	}
}

func compileAt(t *testing.T, name string, document any, pointer string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	require.NoError(t, c.AddResource(name, document))
	s, err := c.Compile(name + pointer)
	require.NoError(t, err)
	return s
}

func asyncAPISchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	f, err := os.Open(filepath.Join(events, "testdata", "asyncapi-3.0.0.schema.json.gz"))
	require.NoError(t, err)
	defer f.Close()
	r, err := gzip.NewReader(f)
	require.NoError(t, err)
	text, err := io.ReadAll(r)
	require.NoError(t, err)
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	return compileAt(t, "http://asyncapi.com/definitions/3.0.0/asyncapi.json", schema, "")
}
