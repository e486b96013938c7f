package runner

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPublicRoutes: each public address goes to the step that owns it.
func TestPublicRoutes(t *testing.T) {
	t.Parallel()
	to := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) })
	}
	front := public(to)
	for path, want := range map[string]string{
		"/webhook/trading-sweep": "receive", "/webhook/trading-sweep/": "receive", "/webhook/sweep-callback?job=1": "callback", "/health": "ok\n",
		"/webhook/jobs/1": "api", "/api/jobs": "api", "/api/stream": "api", "/api": "api", "/api/": "api", "//api/jobs": "api", "/api/dead-letters/1?x=/": "api",
		"/": "dashboard", "/jobs/1": "dashboard", "/apis": "dashboard", "/login": "dashboard", "/assets/app.js": "dashboard", "/webhook": "dashboard",
		"/readyz": "dashboard", "/mailbox/1/mail": "dashboard", "/api/../new": "dashboard",
	} {
		w := httptest.NewRecorder()
		front.ServeHTTP(w, &http.Request{Method: http.MethodGet, URL: httptest.NewRequest(http.MethodGet, "http://x"+path, http.NoBody).URL})
		require.Equal(t, want, w.Body.String(), path)
	}
}
