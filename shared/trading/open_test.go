package trading_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/trading"
)

// pacer counts the calls that it lets through.
type pacer struct {
	calls int
	err   error
}

func (p *pacer) Pace(context.Context) error {
	p.calls++
	return p.err
}

// list is n jobs of today, as the API lists them.
func list(n int) string {
	text := "["
	for i := range n {
		if i > 0 {
			text += ","
		}
		text += fmt.Sprintf(`{"job_id":"j%d","status":"running","created_at":%q}`, i, today.Format(time.RFC3339))
	}
	return text + "]"
}

var today = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// TestEveryCallIsCounted: what the API gets to see is what was asked for, or had
// been paid before. Pages and redirects are calls as well.
func TestEveryCallIsCounted(t *testing.T) {
	t.Parallel()
	seen := 0
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen++
		switch {
		case r.URL.Path == "/health" && seen == 1:
			http.Redirect(w, r, "/health/", http.StatusTemporaryRedirect)
		case r.URL.Path == "/api/v1/jobs/" && r.URL.Query().Get("offset") == "":
			_, _ = w.Write([]byte(list(25)))
		case r.URL.Path == "/api/v1/jobs/":
			_, _ = w.Write([]byte(`[]`))
		default:
			_, _ = w.Write([]byte(`{"status":"healthy","job_id":"j","results":[{"fast_period":1,"slow_period":2,"total_trades":3}],"total_count":2}`))
		}
	}))
	t.Cleanup(api.Close)
	p := &pacer{}
	c, err := trading.Open(trading.Config{URL: api.URL}, p, prometheus.NewRegistry())
	require.NoError(t, err)
	ctx := t.Context()
	for name, call := range map[string]func(context.Context) error{
		"health": c.Health,
		"submit": func(ctx context.Context) error {
			_, err := c.Submit(ctx, job.Sweep{}, "http://x", nil)
			return err
		},
		"job":    func(ctx context.Context) error { _, _ = c.Job(ctx, "j"); return nil },
		"cancel": func(ctx context.Context) error { return c.Cancel(ctx, "j") },
		"find": func(ctx context.Context) error {
			_, err := c.Find(ctx, job.NewID(), today)
			return err
		},
		"results": func(ctx context.Context) error {
			_, err := c.Page(ctx, uuid.NewString(), "", 0)
			return err
		},
	} {
		seen, p.calls = 0, 0
		require.NoError(t, call(ctx), name)
		require.NotZero(t, seen, name)
		require.Equal(t, seen, p.calls, name)
		paid := seen
		seen, p.calls = 0, 0
		require.NoError(t, call(trading.Paid(ctx)), name)
		require.Equal(t, paid, seen, name)
		require.Equal(t, seen-1, p.calls, "%s: one was paid", name)
	}

	p.err = errors.New("used up")
	err = c.Health(ctx)
	require.ErrorIs(t, err, p.err)
	require.True(t, trading.Unasked(err))
	require.False(t, trading.Unavailable(err), "it says nothing of the API")
	require.False(t, trading.Permanent(err))
	require.False(t, trading.Uncertain(err), "it never left")
	_, err = trading.Open(trading.Config{}, nil, prometheus.NewRegistry())
	require.Error(t, err, "a client that counts nothing")
}

// A list that grows while it is read, page by page, still tells that a sweep is not on
// it, or finds it; one that has the same page at every offset does not tell.
func TestFindInAListThatGrows(t *testing.T) {
	t.Parallel()
	const pageSize = 30
	for _, total := range []int{1, 19, 20, pageSize - 1, pageSize, pageSize + 1, 3 * pageSize, 100} {
		for _, growth := range []int{0, 1, 7} {
			entries := total
			at := func(i int) string { // the newest first
				n := entries - 1 - i
				return fmt.Sprintf(`{"job_id":"j%d","status":"running","created_at":%q,"parameters":{"webhook_url":"http://x/?job=J%d"}}`,
					n, today.Format(time.RFC3339), n)
			}
			ignored := false
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				offset, _ := strconv.Atoi(r.URL.Query().Get("offset"))
				if ignored {
					offset = 0
				}
				var page []string
				for i := offset; i < min(offset+pageSize, entries); i++ {
					page = append(page, at(i))
				}
				entries += growth
				_, _ = fmt.Fprintf(w, "[%s]", strings.Join(page, ","))
			}))
			c, err := trading.New(trading.Config{URL: api.URL})
			require.NoError(t, err)
			name := fmt.Sprintf("%d entries, %d more at each look", total, growth)
			found, err := c.Find(t.Context(), "J0", today)
			require.NoError(t, err, name)
			require.Len(t, found, 1, name)
			found, err = c.Find(t.Context(), "none", today)
			require.NoError(t, err, name)
			require.Empty(t, found, name)
			if total == 3*pageSize {
				ignored = true
				_, err = c.Find(t.Context(), "none", today)
				require.ErrorIs(t, err, trading.ErrTruncated, name)
			}
			api.Close()
		}
	}
}
