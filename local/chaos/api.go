//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// call is one request that reached the trading API.
type call struct {
	At     time.Time
	Health bool
}

// recorder stands before the simulator: it notes when each call arrives and can
// refuse calls.
type recorder struct {
	next http.Handler
	// refuse is a status to answer with instead, 0 to pass calls on.
	refuse atomic.Int32

	mu    sync.Mutex
	calls []call
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	health := req.URL.Path == "/health"
	r.mu.Lock()
	r.calls = append(r.calls, call{time.Now(), health})
	r.mu.Unlock()
	if status := int(r.refuse.Load()); status != 0 && (!health || status != http.StatusTooManyRequests) {
		if status != http.StatusInternalServerError {
			w.Header().Set("Retry-After", "3")
		}
		http.Error(w, `{"error":"refused by the chaos run"}`, status)
		return
	}
	r.next.ServeHTTP(w, req)
}

func (r *recorder) seen() []call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

// sweep is one submission that the trading API accepted.
type sweep struct {
	ID        string    `json:"id"`
	Status    string    `json:"status"`
	Created   time.Time `json:"created"`
	Completed time.Time `json:"completed"`
	Request   struct {
		WebhookURL string `json:"webhook_url"`
	} `json:"request"`
}

// job is ours, as the callback URL names it.
func (s sweep) job() string {
	u, err := url.Parse(s.Request.WebhookURL)
	if err != nil {
		return ""
	}
	return u.Query().Get("job")
}

func (s sweep) ended() bool { return s.Status != "pending" && s.Status != "running" }

// readSweeps reads the simulator's state file, in which a later line of a sweep
// replaces an earlier one. A torn last line is left out.
func readSweeps(file string) ([]sweep, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read sweeps: %w", err)
	}
	defer func() { _ = f.Close() }()
	var all []sweep
	index := map[string]int{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var s sweep
		if json.Unmarshal(lines.Bytes(), &s) != nil || s.ID == "" {
			continue
		}
		if i, ok := index[s.ID]; ok {
			all[i] = s
			continue
		}
		index[s.ID] = len(all)
		all = append(all, s)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read sweeps: %w", err)
	}
	return all, nil
}

// inFlight is the highest number of sweeps that were at the API at one time.
// One that has not ended counts until now.
func inFlight(sweeps []sweep) int {
	type step struct {
		at time.Time
		by int
	}
	var steps []step
	for _, s := range sweeps {
		steps = append(steps, step{s.Created, 1})
		if s.ended() {
			steps = append(steps, step{s.Completed, -1})
		}
	}
	slices.SortFunc(steps, func(a, b step) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		return a.by - b.by // an end frees its place first
	})
	now, most := 0, 0
	for _, s := range steps {
		now += s.by
		most = max(most, now)
	}
	return most
}

// busiest is the highest number of calls, health checks left out, in any window.
func busiest(calls []call, window time.Duration) int {
	var at []time.Time
	for _, c := range calls {
		if !c.Health {
			at = append(at, c.At)
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	most, first := 0, 0
	for i := range at {
		for at[i].Sub(at[first]) >= window {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}
