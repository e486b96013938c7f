package openapi_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/openapi"
	"github.com/zixly/sweepline/shared/openapi/openapitest"
)

var update = flag.Bool("update", false, "compress openapi.json")

// TestCompressedIsCurrent: what programs carry is what people edit.
func TestCompressedIsCurrent(t *testing.T) {
	text, err := os.ReadFile("openapi.json")
	require.NoError(t, err)
	if *update {
		var b bytes.Buffer
		w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
		require.NoError(t, err)
		_, err = w.Write(text)
		require.NoError(t, errors.Join(err, w.Close()))
		require.NoError(t, os.WriteFile("openapi.json.gz", b.Bytes(), 0o600))
		return
	}
	require.True(t, bytes.Equal(text, openapi.Document()), "go test ./shared/openapi -update")
}

func TestDocument(t *testing.T) {
	t.Parallel()
	d, err := openapitest.Load()
	require.NoError(t, err)
	ids := map[string]bool{}
	for _, o := range d.Operations() {
		require.NotEmpty(t, o.ID, o)
		require.False(t, ids[o.ID], "%s stands twice", o.ID)
		ids[o.ID] = true
	}
	require.Greater(t, len(ids), 20)

	_, err = openapitest.Read([]byte(strings.Replace(string(openapi.Document()), `"openapi": "3.1.1",`, `"openapi": "3.1.1", "surprise": 1,`, 1)))
	require.ErrorContains(t, err, "surprise")
}

func TestExamplesAreValid(t *testing.T) {
	t.Parallel()
	d, err := openapitest.Load()
	require.NoError(t, err)
	n, problems := d.Examples(openapi.Document())
	require.Empty(t, problems)
	require.Greater(t, n, 50)

	bad := strings.Replace(string(openapi.Document()), `"error": "no such job", "code"`, `"error": 1, "code"`, 1)
	d, err = openapitest.Read([]byte(bad))
	require.NoError(t, err)
	_, problems = d.Examples([]byte(bad))
	require.Len(t, problems, 1)
}

// Each reference is to something, and each component is referred to.
func TestComponents(t *testing.T) {
	t.Parallel()
	var d struct {
		Components map[string]map[string]json.RawMessage `json:"components"`
	}
	require.NoError(t, json.Unmarshal(openapi.Document(), &d))
	for kind, all := range d.Components {
		for name := range all {
			if kind != "securitySchemes" {
				require.Contains(t, string(openapi.Document()), `"$ref": "#/components/`+kind+`/`+name+`"`)
			}
		}
	}
}

// TestTheCheckerFinds: a check that finds nothing shows nothing.
func TestTheCheckerFinds(t *testing.T) {
	t.Parallel()
	d, err := openapitest.Load()
	require.NoError(t, err)
	jsonHeader := http.Header{"Content-Type": {"application/json"}}
	const failure = `{"error":"e","code":"c","timestamp":"2026-01-31T12:00:00.123Z"}`
	const id = "019a8f3e-5b1c-7e4d-9f00-3b7d5c2a1e90"
	for name, c := range map[string]struct {
		method, path string
		status       int
		header       http.Header
		body         string
		find         string
	}{
		"right":                  {"GET", "/api/jobs", 200, jsonHeader, `{"jobs":[]}`, ""},
		"with a slash":           {"GET", "/api/jobs/", 200, jsonHeader, `{"jobs":[]}`, ""},
		"HEAD":                   {"HEAD", "/api/jobs", 200, jsonHeader, ``, ""},
		"missing member":         {"GET", "/api/jobs", 200, jsonHeader, `{}`, "jobs"},
		"member not described":   {"GET", "/api/jobs", 200, jsonHeader, `{"jobs":[],"surprise":1}`, "surprise"},
		"wrong type":             {"GET", "/api/jobs", 200, jsonHeader, `{"jobs":1}`, "array"},
		"no time":                {"GET", "/api/jobs/" + id, 404, jsonHeader, strings.Replace(failure, "2026", "x", 1), "date-time"},
		"status not described":   {"GET", "/api/jobs", 418, jsonHeader, failure, "418"},
		"other media type":       {"GET", "/api/jobs", 200, http.Header{"Content-Type": {"text/html"}}, `{"jobs":[]}`, "text/html"},
		"missing header":         {"GET", "/api/jobs", 503, jsonHeader, failure, "Retry-After"},
		"path not described":     {"GET", "/api/surprise", 200, jsonHeader, `{}`, "not in the OpenAPI document"},
		"method not described":   {"PUT", "/api/jobs", 200, jsonHeader, `{}`, "not in the OpenAPI document"},
		"refusal of a path":      {"GET", "/api/surprise", 404, jsonHeader, failure, ""},
		"odd refusal of a path":  {"GET", "/api/surprise", 404, jsonHeader, `{}`, "missing"},
		"event":                  {"GET", "/api/stream", 200, http.Header{"Content-Type": {"text/event-stream"}}, "event: jobs\ndata: {\"counts\":{},\"open\":[]}\n\n", ""},
		"event of another form":  {"GET", "/api/stream", 200, http.Header{"Content-Type": {"text/event-stream"}}, "event: jobs\ndata: {\"counts\":{}}\n\n", "open"},
		"event of another name":  {"GET", "/api/stream", 200, http.Header{"Content-Type": {"text/event-stream"}}, "event: surprise\ndata: {}\n\n", "surprise"},
		"data of somebody's own": {"GET", "/api/jobs/" + id + "/events", 200, jsonHeader, `{"job_id":"` + id + `","events":[{"id":"i","type":"t","time":"2026-01-31T12:00:00.123Z","data":{"any":{"thing":1}}}]}`, ""},
	} {
		err := d.Answer(httptest.NewRequest(c.method, c.path, http.NoBody), c.status, c.header, []byte(c.body))
		if c.find == "" {
			require.NoError(t, err, name)
		} else {
			require.ErrorContains(t, err, c.find, name)
		}
	}
}
