// Package transport has what our HTTP servers and clients share: bodies that must come in
// time, and certificates to trust.
package transport

import (
	"io"
	"net/http"
	"time"
)

// MaxHeaderBytes is what a server of ours takes in headers. net/http's own bound is a
// MiB, and headers are kept longer than the bytes of a body.
const MaxHeaderBytes = 64 << 10

// BodyTimeout is how long the body of a request may take to come.
const BodyTimeout = 30 * time.Second

// LimitBodyTime has reads of a request's body fail after BodyTimeout. Unlike
// http.Server's ReadTimeout it ends with the body: an answer may be a stream of any
// length. The connection is closed by the server then. It is called before anything
// answers: what no handler reads the server reads, to keep the connection.
func LimitBodyTime(w http.ResponseWriter, r *http.Request) { limitBodyTime(w, r, BodyTimeout) }

// BoundBodies is LimitBodyTime for all that h answers.
func BoundBodies(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		LimitBodyTime(w, r)
		h.ServeHTTP(w, r)
	})
}

func limitBodyTime(w http.ResponseWriter, r *http.Request, timeout time.Duration) {
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return
	}
	rc := http.NewResponseController(w)
	if rc.SetReadDeadline(time.Now().Add(timeout)) == nil { // else no connection is behind it
		r.Body = &timedBody{r.Body, rc}
	}
}

// ReadBody reads a request's body, and nothing of one that says it is longer than limit;
// its error is then an *http.MaxBytesError. One whose length is told is read in one piece:
// growing costs several times as much.
func ReadBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, &http.MaxBytesError{Limit: limit}
	}
	limited := http.MaxBytesReader(w, r.Body, limit)
	if r.ContentLength >= 0 {
		body := make([]byte, r.ContentLength)
		_, err := io.ReadFull(limited, body)
		return body, err
	}
	return io.ReadAll(limited)
}

type timedBody struct {
	io.ReadCloser

	rc *http.ResponseController
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		_ = b.rc.SetReadDeadline(time.Time{}) // from now on the server looks whether the client is still there
	}
	return n, err
}
