package function_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/seal"
)

// FuzzEvents: what has no seal reaches no function, in whatever form it comes, and is
// answered with what no broker tries again.
func FuzzEvents(f *testing.F) {
	before := slog.Default()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	f.Cleanup(func() { slog.SetDefault(before) })
	const one = `{"specversion":"1.0","id":"1","source":"/s","type":"t","sweepseal":"AAAA","data":{"a":1}}`
	f.Add("application/cloudevents+json", one, "", "/")
	f.Add("application/cloudevents-batch+json", "["+one+","+one+"]", "", "/dead-letter")
	f.Add("application/cloudevents-batch+json", `[{"specversion":"1.0"`, "1", "/")
	f.Add("application/json", `{"a":1}`, "1", "/")
	f.Add("application/json;charset=\xff", "", "2", "/dead-letter/")
	keys, err := seal.New(seal.Config{Key: "a-key-for-tests-only"})
	require.NoError(f, err)
	reached := false
	single := &eventFunc{handle: func(context.Context, cloudevents.Event) (*cloudevents.Event, error) {
		reached = true
		return nil, nil
	}}
	many := &batchFunc{}
	var handlers []http.Handler
	for _, fn := range []any{single, many} {
		h, err := function.Handler("step", fn, prometheus.NewRegistry(), function.WithSeals(keys))
		require.NoError(f, err)
		handlers = append(handlers, h)
	}
	f.Fuzz(func(t *testing.T, kind, body, id, path string) {
		for _, h := range handlers {
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
			r.URL.Path = path
			r.Header.Set("Content-Type", kind)
			if id != "" {
				r.Header.Set("Ce-Specversion", "1.0")
				r.Header.Set("Ce-Id", id)
				r.Header.Set("Ce-Source", id)
				r.Header.Set("Ce-Type", id)
				r.Header.Set("Ce-Sweepseal", id)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			require.False(t, reached)
			if strings.HasPrefix(path, "/health") || path == "/readyz" {
				continue
			}
			require.NotContains(t, []int{http.StatusRequestTimeout, http.StatusTooManyRequests}, w.Code)
			require.Less(t, w.Code, http.StatusInternalServerError, w.Body)
		}
		require.Empty(t, many.got)
	})
}
