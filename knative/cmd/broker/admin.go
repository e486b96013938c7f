package main

import (
	"encoding/json"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// admin answers probes, Prometheus, and the controller's question which
// contract is served.
func (p *plane) admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, "ok", nil) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		answer(w, p.missing(r), nil)
	})
	mux.HandleFunc("GET /contract", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, "ok", map[string]int64{"generation": p.generation.Load()})
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.registry, promhttp.HandlerOpts{}))
	return mux
}

// missing says what keeps the process from its work, or "ok". A dispatcher is
// ready without Redis: it has no callers to spare an error, and what it serves
// is still what the contract says.
func (p *plane) missing(r *http.Request) string {
	switch {
	case p.stopping.Load():
		return "stopping"
	case p.generation.Load() == 0:
		return "missing: contract"
	case p.cfg.Role == Ingress && p.server.Ready(r.Context()) != nil:
		return "missing: redis"
	}
	return "ok"
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
