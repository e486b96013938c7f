package runner

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/zixly/sweepline/shared/handover"
)

// loopback sends requests for addresses of this process to their handlers, without
// a socket between them. Semantics are HTTP's: the same handlers, statuses, headers
// and deadlines; what goes elsewhere takes the network.
type loopback struct {
	next http.RoundTripper

	mu       sync.RWMutex
	handlers map[string]http.Handler // by host and port

	// idle hands a request to a goroutine that has served one before. Its stack has grown
	// to what a handler takes; growing those of new ones took 8 % of the CPU of a burst.
	idle  chan served
	ended chan struct{}
}

// served is one request and where its answer goes.
type served struct {
	h http.Handler
	w *answer
	r *http.Request
}

// idleTimeout is how long a goroutine waits for its next request.
const idleTimeout = 5 * time.Second

func newLoopback(next http.RoundTripper) *loopback {
	return &loopback{next: next, handlers: make(map[string]http.Handler), idle: make(chan served), ended: make(chan struct{})}
}

// close lets goroutines end that wait for a request. It may be used afterwards.
func (t *loopback) close() { close(t.ended) }

// start has a request served, by whichever goroutine is free.
func (t *loopback) start(s served) {
	select {
	case t.idle <- s:
	default:
		go t.serve(s)
	}
}

func (t *loopback) serve(s served) {
	timer := time.NewTimer(idleTimeout)
	defer timer.Stop()
	for {
		s.w.serve(s.h, s.r)
		timer.Reset(idleTimeout)
		select {
		case s = <-t.idle:
		case <-timer.C:
			return
		case <-t.ended:
			return
		}
	}
}

func (t *loopback) handle(host string, h http.Handler) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.handlers[host] = h
}

// Local reports whether a handler of this process has the address.
func (t *loopback) Local(u *url.URL) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.handlers[u.Host] != nil
}

// RoundTrip returns when the handler has, or when the request's context ends: a
// handler that does not look at its context holds up nobody but itself.
func (t *loopback) RoundTrip(r *http.Request) (*http.Response, error) {
	t.mu.RLock()
	h := t.handlers[r.URL.Host]
	t.mu.RUnlock()
	if h == nil {
		return t.next.RoundTrip(r)
	}
	in := r.WithContext(r.Context())
	if in.Body == nil {
		in.Body = http.NoBody
	}
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	in.RequestURI, in.RemoteAddr = r.URL.RequestURI(), "127.0.0.1:0"
	w := &answer{header: make(http.Header, 8), done: make(chan struct{})}
	t.start(served{h, w, in})
	select {
	case <-w.done:
	case <-r.Context().Done():
		return nil, context.Cause(r.Context())
	}
	if w.broken != nil {
		return nil, w.broken
	}
	return w.response(r), nil
}

// answer is a response while its handler writes it. It belongs to the handler until
// done is closed.
type answer struct {
	header http.Header
	sent   http.Header // as they were when the status was written
	status int
	body   bytes.Buffer
	// outcomes take the body's place where the events were handed over.
	outcomes []handover.Outcome
	broken   error
	done     chan struct{}
}

func (w *answer) serve(h http.Handler, r *http.Request) {
	defer close(w.done)
	defer func() {
		if p := recover(); p != nil { // as net/http: the connection breaks, the process goes on
			w.broken = fmt.Errorf("handler panicked: %v", p)
			if p == http.ErrAbortHandler { //nolint:errorlint // it is the value itself
				w.broken = io.ErrUnexpectedEOF
			}
		}
	}()
	h.ServeHTTP(w, r)
}

func (w *answer) Header() http.Header { return w.header }

func (w *answer) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status, w.sent = status, w.header
	}
}

func (w *answer) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

// Answer implements handover.Writer.
func (w *answer) Answer(outcomes []handover.Outcome) { w.outcomes = outcomes }

func (w *answer) response(r *http.Request) *http.Response {
	w.WriteHeader(http.StatusOK)
	resp := &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Request: r,
	}
	if w.outcomes != nil {
		resp.Body = handover.NewAnswer(w.outcomes)
		return resp
	}
	body := w.body.Bytes()
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp
}
