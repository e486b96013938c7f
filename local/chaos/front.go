//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"sync/atomic"
	"time"

	"github.com/zixly/sweepline/shared/transport"
)

// rotation is a load balancer's back end: it sends each request to the next
// target, and to the one after it where nobody listens.
type rotation struct {
	targets []string
	turn    atomic.Uint64
	next    http.RoundTripper
}

func newRotation(targets ...string) *rotation {
	return &rotation{targets: targets, next: transport.New(64, nil)}
}

// maxForwarded bounds what is kept of a request to be able to send it again.
const maxForwarded = 8 << 20

// RoundTrip sends a request again only where it cannot have arrived.
func (r *rotation) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(io.LimitReader(req.Body, maxForwarded)); err != nil {
			return nil, fmt.Errorf("read request: %w", err)
		}
	}
	first := r.turn.Add(1)
	var err error
	for i := range r.targets {
		try := req.Clone(req.Context())
		try.URL.Scheme, try.URL.Host = "http", r.targets[(first+uint64(i))%uint64(len(r.targets))]
		try.Body = io.NopCloser(bytes.NewReader(body))
		var resp *http.Response
		if resp, err = r.next.RoundTrip(try); err == nil {
			return resp, nil
		}
		var op *net.OpError
		if !errors.As(err, &op) || op.Op != "dial" {
			return nil, err
		}
	}
	return nil, err
}

// forward is a reverse proxy through t that answers 502 where t fails.
func forward(t http.RoundTripper) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetXForwarded(); r.Out.Host = r.In.Host },
		Transport: t,
		ErrorLog:  log.New(io.Discard, "", 0),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			http.Error(w, "no answer from behind the front", http.StatusBadGateway)
		},
	}
}

// public sends each path to the function that owns it, as a gateway's routes do.
func public(receive, callback, api, dashboard []string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/webhook/trading-sweep", forward(newRotation(receive...)))
	mux.Handle("/webhook/sweep-callback", forward(newRotation(callback...)))
	programs := forward(newRotation(api...))
	mux.Handle("/webhook/jobs/", programs)
	mux.Handle("/api/", programs)
	mux.Handle("/", forward(newRotation(dashboard...)))
	return mux
}

// serve answers at addr with h until stop is called.
func serve(addr string, h http.Handler) (stop func(), err error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(l)
	}()
	return func() { _ = srv.Close(); <-done }, nil
}
