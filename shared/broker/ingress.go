package broker

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

// ingress answers POST /{namespace}/{broker}. 202 means that every event of the
// request is durable in Redis, or was already.
//
// Other answers, from the data plane specification of Knative Eventing: 400 no
// valid CloudEvent, or its TTL is used up; 404 no such broker; 405; 413; 415;
// 503 with Retry-After where Redis cannot take events.
type ingress struct{ s *Server }

func (in ingress) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	namespace, name, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		refuse(w, http.StatusNotFound, "events are posted to /{namespace}/{broker}")
		return
	}
	mesh := in.s.mesh(Broker{Namespace: namespace, Name: name})
	if mesh == nil {
		refuse(w, http.StatusNotFound, "no such broker")
		return
	}
	switch r.Method {
	case http.MethodPost:
	case http.MethodOptions:
		w.Header().Set("Allow", "POST, OPTIONS")
		w.WriteHeader(http.StatusOK)
		return
	default:
		w.Header().Set("Allow", "POST, OPTIONS")
		refuse(w, http.StatusMethodNotAllowed, "events are posted")
		return
	}
	status, reason := in.take(w, r, mesh)
	if status == http.StatusAccepted {
		mesh.accepted.Inc()
		w.WriteHeader(status)
		return
	}
	in.s.metrics.requests.WithLabelValues(namespace, name, http.StatusText(status)).Inc()
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	refuse(w, status, reason)
}

func (in ingress) take(w http.ResponseWriter, r *http.Request, mesh *mesh) (int, string) {
	if enc := r.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return http.StatusUnsupportedMediaType, "content encodings are not supported"
	}
	body, err := readBody(w, r, in.s.cfg.MaxEventBytes)
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return http.StatusRequestEntityTooLarge, "body is too large"
		}
		return http.StatusBadRequest, "body cannot be read"
	}
	messages, err := parseHTTP(r.Header, body, true)
	if errors.Is(err, errUnsupported) {
		return http.StatusUnsupportedMediaType, err.Error()
	}
	if err != nil {
		return http.StatusBadRequest, err.Error()
	}
	for _, m := range messages {
		if m.ttl == 0 {
			m.ttl = defaultTTL
		} else {
			m.ttl--
		}
		if m.ttl <= 0 {
			return http.StatusBadRequest, ttlAttribute + " is used up"
		}
	}
	// Not the request's own context: a client that goes away must not keep the
	// others of its group waiting, and its event is stored all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 3*in.s.cfg.RedisTimeout)
	defer cancel()
	if err := mesh.append(ctx, messages); err != nil {
		in.s.ingressFailed(r.Context(), mesh, err)
		if errors.Is(err, errFull) {
			return http.StatusServiceUnavailable, "the broker is full: its subscribers are behind"
		}
		return http.StatusServiceUnavailable, "the broker cannot store events now"
	}
	return http.StatusAccepted, ""
}

// readBody reads no more than limit bytes, whatever length was declared.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, &http.MaxBytesError{Limit: limit}
	}
	limited := http.MaxBytesReader(w, r.Body, limit)
	if r.ContentLength >= 0 {
		body := make([]byte, r.ContentLength)
		if _, err := io.ReadFull(limited, body); err != nil {
			return nil, err
		}
		return body, nil
	}
	return io.ReadAll(limited)
}

func refuse(w http.ResponseWriter, status int, reason string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// A client that has gone cannot be told.
	_ = json.NewEncoder(w).Encode(map[string]string{
		"error":     reason,
		"code":      strings.ReplaceAll(strings.ToLower(http.StatusText(status)), " ", "_"),
		"timestamp": time.Now().UTC().Format(time.RFC3339),
	})
}
