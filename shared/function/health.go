package function

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/zixly/sweepline/shared/sink"
)

// checkTimeout bounds one readiness check: a probe gives up soon after.
const checkTimeout = 2 * time.Second

// Missing is the error of a function that lacks dependencies.
type Missing struct { //nolint:errname // function.Missing says it
	// Names are the dependencies, sorted.
	Names []string
	// Err joins what each said; it may hold addresses and is for logs.
	Err error
}

// Error names the dependencies and nothing else: it is public at /readyz.
func (m *Missing) Error() string { return "missing: " + strings.Join(m.Names, ", ") }

// Unwrap gives the causes.
func (m *Missing) Unwrap() error { return m.Err }

// Checks are what a process depends on, each by its name, such as "redis". It is Ready
// while all of them return no error.
type Checks map[string]func(context.Context) error

// Ready implements Ready, by Check.
func (c Checks) Ready(ctx context.Context) (bool, error) { return Check(ctx, c) }

// Check asks all dependencies at once, each for at most two seconds, and
// answers as a function's Ready does: false and a Missing that names those
// which did not answer.
func Check(ctx context.Context, pings map[string]func(context.Context) error) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	var (
		mu      sync.Mutex
		wg      sync.WaitGroup
		missing Missing
	)
	for name, ping := range pings {
		wg.Go(func() {
			if err := ping(ctx); err != nil {
				mu.Lock()
				defer mu.Unlock()
				missing.Names = append(missing.Names, name)
				missing.Err = errors.Join(missing.Err, err)
			}
		})
	}
	wg.Wait()
	if len(missing.Names) == 0 {
		return true, nil
	}
	slices.Sort(missing.Names)
	return false, &missing
}

// readyz answers 200, or 503 with what is missing.
func readyz(fn any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if f, ok := fn.(Ready); ok {
			ready, err := f.Ready(r.Context())
			if err != nil || !ready {
				answerHealth(w, err, CodeNotReady, "not ready")
				return
			}
		}
		WriteJSON(w, http.StatusOK, map[string]string{"status": "ready"})
	}
}

// healthz answers 200 while the process can do its work at all.
func healthz(fn any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if f, ok := fn.(Alive); ok {
			alive, err := f.Alive(r.Context())
			if err != nil || !alive {
				answerHealth(w, err, CodeNotAlive, "not alive")
				return
			}
		}
		WriteJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	}
}

func answerHealth(w http.ResponseWriter, err error, code, message string) {
	if err != nil {
		message = reason(err)
	}
	setRetryAfter(w, sink.DefaultRetryAfter)
	WriteError(w, http.StatusServiceUnavailable, code, message)
}
