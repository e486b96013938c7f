package jobs

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/zixly/sweepline/shared/transport"
)

// base is where people and programs reach us: the origin, and the path that a proxy in
// front takes away before it passes a request on.
type base struct{ origin, path string }

// parseBase reads WEBHOOK_BASE_URL; empty is nowhere else than where requests go.
func parseBase(text string) (base, error) {
	if text == "" {
		return base{}, nil
	}
	u, err := transport.ParseBase(text)
	if err != nil {
		return base{}, fmt.Errorf("WEBHOOK_BASE_URL %w", err)
	}
	host := strings.ToLower(u.Host)
	// An origin has no port where it is the scheme's (RFC 6454, 6.2).
	host = strings.TrimSuffix(host, map[string]string{"http": ":80", "https": ":443"}[u.Scheme])
	return base{origin: u.Scheme + "://" + host, path: strings.TrimRight(u.EscapedPath(), "/")}, nil
}

type basePathKey struct{}

// BasePath is what all addresses of our own begin with where a client sees them, empty
// unless we share a host; see WEBHOOK_BASE_URL.
func BasePath(ctx context.Context) string {
	path, _ := ctx.Value(basePathKey{}).(string)
	return path
}

// below puts the addresses that answers lead to below the base's path.
func (b base) below(next http.Handler) http.Handler {
	if b.path == "" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&belowWriter{w, b.path}, r.WithContext(context.WithValue(r.Context(), basePathKey{}, b.path)))
	})
}

// belowWriter completes Location.
type belowWriter struct {
	http.ResponseWriter

	path string
}

func (w *belowWriter) WriteHeader(status int) {
	if to := w.Header().Get("Location"); strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "//") {
		w.Header().Set("Location", w.path+to)
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController through.
func (w *belowWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
