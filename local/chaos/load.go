//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// The ways in which clients ask.
const (
	// keyed has an idempotency key and asks until it is accepted.
	keyed = "keyed"
	// twin is keyed and asks twice at the same instant.
	twin = "twin"
	// late is keyed and asks again after it was accepted.
	late = "late"
	// event is a structured CloudEvent, whose source and id are its key.
	event = "event"
	// bare has no key and asks once.
	bare = "bare"
)

// request is one sweep that a client wants. Its ticker is like no other's, so
// that the job can be found whatever was answered.
type request struct {
	Ticker, Tenant, Way string
	At                  time.Duration

	mu       sync.Mutex
	attempts []attempt
}

// attempt is one HTTP request and its answer. Status is 0 where none came.
type attempt struct {
	At       time.Time
	Status   int
	JobID    string
	Replayed bool
	Answer   string
}

// accepted are the job ids that the client was given.
func (r *request) accepted() map[string]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	ids := map[string]bool{}
	for _, a := range r.attempts {
		if a.Status == http.StatusAccepted {
			ids[a.JobID] = true
		}
	}
	return ids
}

// pending says that the client is not done: it has not asked yet, or was not
// accepted and asks again.
func (r *request) pending(accepted bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.attempts) == 0 || !accepted && r.Way != bare
}

// The grid of every sweep: four combinations.
const combinations = 4

// asks plans n requests by the seed.
func asks(o options, prefix string, n int) []*request {
	rng := rand.New(rand.NewPCG(o.Seed, 3))
	ways := []string{keyed, keyed, keyed, twin, twin, late, event, event, bare, bare}
	all := make([]*request, n)
	for i := range all {
		// The first tenant asks for more than the others together.
		tenant := tenants[max(rng.IntN(len(tenants)+3)-3, 0)]
		all[i] = &request{
			Ticker: fmt.Sprintf("%s-%05d", prefix, i), Tenant: tenant, Way: ways[rng.IntN(len(ways))],
			At: time.Duration(float64(i) / o.Rate * float64(time.Second)),
		}
	}
	return all
}

// probes are n requests that are all sent at once.
func probes(prefix string, n int) []*request {
	all := make([]*request, n)
	for i := range all {
		all[i] = &request{Ticker: fmt.Sprintf("%s-%05d", prefix, i), Tenant: tenants[i%len(tenants)], Way: keyed}
	}
	return all
}

// send asks for all of them, each at its time, and returns when every keyed one
// has been accepted, or when ctx ends.
func (w *world) send(ctx context.Context, all []*request) {
	begin := time.Now()
	var wg sync.WaitGroup
	for _, r := range all {
		if !pause(ctx, time.Until(begin.Add(r.At))) {
			break
		}
		times := 1
		if r.Way == twin {
			times = 2
		}
		for range times {
			wg.Go(func() { w.ask(ctx, r) })
		}
	}
	wg.Wait()
}

// ask is one client.
func (w *world) ask(ctx context.Context, r *request) {
	again := r.Way == late
	for {
		a := w.post(ctx, r)
		r.mu.Lock()
		r.attempts = append(r.attempts, a)
		r.mu.Unlock()
		final := a.Status/100 == 4 && a.Status != http.StatusTooManyRequests && a.Status != http.StatusRequestTimeout
		switch {
		case r.Way == bare || final, a.Status == http.StatusAccepted && !again:
			return
		case a.Status == http.StatusAccepted:
			again = false
			if !pause(ctx, 5*time.Second) {
				return
			}
		default:
			if !pause(ctx, 500*time.Millisecond) {
				return
			}
		}
	}
}

func (w *world) post(ctx context.Context, r *request) attempt {
	a := attempt{At: time.Now()}
	payload := map[string]any{
		"ticker": r.Ticker, "fast_range": []int{5, 6}, "slow_range": []int{20, 21}, "step": 1, "min_trades": 10,
	}
	kind := "application/json"
	var body any = payload
	if r.Way == event {
		kind = "application/cloudevents+json"
		body = map[string]any{"specversion": "1.0", "type": "com.example.sweep", "source": "/chaos", "id": r.Ticker, "datacontenttype": "application/json", "data": payload}
	}
	raw, err := json.Marshal(body)
	if err != nil {
		a.Answer = err.Error()
		return a
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+w.frontAddr+"/webhook/trading-sweep", bytes.NewReader(raw))
	if err != nil {
		a.Answer = err.Error()
		return a
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("Authorization", "Bearer "+keyOf(r.Tenant))
	if r.Way != bare && r.Way != event {
		req.Header.Set("Idempotency-Key", r.Ticker)
	}
	resp, err := client.Do(req)
	if err != nil {
		a.Answer = err.Error()
		return a
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		a.Answer = err.Error()
		return a
	}
	a.Status, a.Answer = resp.StatusCode, string(text[:min(len(text), 200)])
	a.Replayed, _ = strconv.ParseBool(resp.Header.Get("Idempotency-Replayed"))
	if a.Status == http.StatusAccepted {
		var taken struct {
			JobID string `json:"job_id"`
		}
		if err := json.Unmarshal(text, &taken); err != nil || taken.JobID == "" {
			a.Status, a.Answer = 0, "202 without a job: "+a.Answer
		}
		a.JobID = taken.JobID
	}
	return a
}
