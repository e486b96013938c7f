package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/zixly/sweepline/knative/health"
)

// admin answers probes, Prometheus, and the controller's question which
// contract is served.
func (p *plane) admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, "ok", nil) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		p.awaitContract(r.Context())
		s := p.status(r.Context())
		answer(w, s.Status, s)
	})
	mux.HandleFunc("GET "+health.Path, func(w http.ResponseWriter, r *http.Request) {
		answer(w, health.OK, p.status(r.Context()))
	})
	mux.HandleFunc("GET /contract", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, "ok", map[string]int64{"generation": p.generation.Load()})
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.registry, promhttp.HandlerOpts{}))
	return mux
}

// awaitContract waits a moment for the first contract.
func (p *plane) awaitContract(ctx context.Context) {
	timer := time.NewTimer(p.patience)
	defer timer.Stop()
	select {
	case <-p.serving:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// status says what keeps the process from its work. A dispatcher is ready without
// Redis: it has no callers to spare an error, and what it serves is still what the
// contract says.
func (p *plane) status(ctx context.Context) health.Status {
	if p.stopping.Load() {
		return health.Status{Status: health.Stopping}
	}
	if p.generation.Load() == 0 {
		s := health.Status{Status: health.NoContract}
		if problem := p.problem.Load(); problem != nil && *problem != nil {
			s.Reason = plainly(*problem)
			var ofRedis redisError
			if errors.As(*problem, &ofRedis) {
				s.Status = health.NoRedis
			}
		}
		return s
	}
	if p.cfg.Role == Ingress {
		if err := p.server.Ready(ctx); err != nil {
			return health.Status{Status: health.NoRedis, Reason: plainly(err)}
		}
	}
	return health.Status{Status: health.OK}
}

func answer(w http.ResponseWriter, status string, body any) {
	if body == nil {
		body = map[string]string{"status": status}
	}
	w.Header().Set("Content-Type", "application/json")
	if status != "ok" {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(body) // who asked has hung up
}
