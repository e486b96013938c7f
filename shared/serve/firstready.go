package serve

import (
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// processStart is as early as Go code can look at the clock.
var processStart = time.Now()

// announceReady logs once when a probe, of whichever kind the cluster has, first
// finds the function well: what a cold start takes of our own.
func announceReady(name string, h http.Handler) http.Handler {
	var once sync.Once
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/readyz", "/health/readiness", "/healthz", "/health/liveness":
			out := &answer{ResponseWriter: w}
			h.ServeHTTP(out, r)
			if out.status == http.StatusOK {
				once.Do(func() {
					slog.InfoContext(r.Context(), "Function ready", "step", name, "after_ms", time.Since(processStart).Milliseconds())
				})
			}
		default:
			h.ServeHTTP(w, r)
		}
	})
}
