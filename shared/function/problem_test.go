package function_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
)

// RFC 9457, 3; RFC 9110, 12.5.1.
func TestProblemsAreForThoseWhoAsk(t *testing.T) {
	t.Parallel()
	h := handler(t, httpFunc(func(w http.ResponseWriter, _ *http.Request) {
		function.WriteError(w, http.StatusConflict, function.CodeConflict, "the job has ended", job.Problem{Field: "f", Message: "m"})
	}))
	for accept, want := range map[string]bool{
		"": false, "*/*": false, "application/json": false, "application/*": false, "text/html, application/json;q=0.9": false,
		"application/problem+json": true, "application/json, application/problem+json": true, "Application/Problem+JSON;q=0.5": true,
		"application/json;q=0.9,application/problem+json;q=0.8": false, "application/problem+json;q=0": false, "application/problem+jsonx": false,
		"application/problem+json;q=0.2, */*": true,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		if accept != "" {
			r.Header.Set("Accept", accept)
		}
		w := do(h, r)
		require.Equal(t, http.StatusConflict, w.Code)
		require.Equal(t, "Accept", w.Header().Get("Vary"))
		var body map[string]any
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
		require.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`, body["timestamp"])
		at, err := time.Parse(time.RFC3339, body["timestamp"].(string))
		require.NoError(t, err)
		require.WithinDuration(t, time.Now(), at, time.Minute)
		delete(body, "timestamp")
		details := []any{map[string]any{"field": "f", "message": "m"}}
		if want {
			require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"), accept)
			require.Equal(t, map[string]any{
				"type": "urn:sweepline:problem:conflict", "title": "Conflict", "status": 409.0,
				"detail": "the job has ended", "code": "conflict", "details": details,
			}, body)
		} else {
			require.Equal(t, "application/json", w.Header().Get("Content-Type"), accept)
			require.Equal(t, map[string]any{"error": "the job has ended", "code": "conflict", "details": details}, body)
		}
	}
}

// Refusals that come before a function is asked, and a panic, are problems too.
func TestProblemsOfTheHandlerItself(t *testing.T) {
	t.Parallel()
	h := handler(t, httpFunc(func(http.ResponseWriter, *http.Request) { panic("oh") }))
	for path, want := range map[string]int{"/metrics": 404, "/": 500} {
		r := httptest.NewRequest(http.MethodGet, path, http.NoBody)
		r.Header.Set("Accept", "application/problem+json")
		w := do(h, r)
		require.Equal(t, want, w.Code)
		require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	}
}

func TestUnknownQuery(t *testing.T) {
	t.Parallel()
	for query, want := range map[string][]string{
		"": nil, "limit=5": nil, "limit=5&limit=6&status=": nil, "limt=5": {"limt"}, "b=1&limit=2&a": {"a", "b"}, "Limit=5": {"Limit"},
		"limit=%zz": {"query"}, "limit=5;status=x": {"query"}, url.QueryEscape("a\nb") + "=1": {"a?b"},
		strings.Repeat("x", 1000) + "=1": {strings.Repeat("x", 40) + "…"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/?"+query, http.NoBody)
		var fields []string
		for _, p := range function.UnknownQuery(r, "status", "limit") {
			fields = append(fields, p.Field)
			if p.Field != "query" {
				require.Equal(t, "unknown parameter: must be one of limit, status", p.Message)
			}
		}
		require.Equal(t, want, fields, query)
	}
	require.Equal(t, "unknown parameter: there are none here", function.UnknownQuery(httptest.NewRequest(http.MethodGet, "/?a", http.NoBody))[0].Message)
}
