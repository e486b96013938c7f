package jobs

import (
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"
)

// Compressed answers with gzip where the client takes it, each write to the client
// having a time of its own. Errors and short answers are compressed as well. It is ours
// because the library for it brings other codings along, 0.6 MB of the command.
func Compressed(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w = newPatientWriter(w)
		w.Header().Add("Vary", "Accept-Encoding")
		if !takesGzip(r.Header.Get("Accept-Encoding")) {
			h(w, r)
			return
		}
		zipped := &zippedWriter{ResponseWriter: w}
		h(zipped, r) // should it panic, the stream stays without its end
		zipped.close()
	}
}

// takesGzip reports whether a client names gzip, and does not refuse it.
// Rule: RFC 9110, 12.5.3.
func takesGzip(accept string) bool {
	for coding := range strings.SplitSeq(accept, ",") {
		name, weight, _ := strings.Cut(coding, ";")
		if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
			continue
		}
		q, found := strings.CutPrefix(strings.TrimSpace(weight), "q=")
		n, err := strconv.ParseFloat(q, 64)
		return !found || err == nil && n > 0
	}
	return false
}

// zippedWriter compresses a body, if there is one.
type zippedWriter struct {
	http.ResponseWriter

	begun bool
	zip   *gzip.Writer // nil for an answer without a body
}

// WriteHeader begins the answer.
func (z *zippedWriter) WriteHeader(status int) {
	if !z.begun {
		z.begun = true
		if status != http.StatusNoContent && status != http.StatusNotModified {
			z.Header().Set("Content-Encoding", "gzip")
			z.Header().Del("Content-Length")
			z.zip = gzip.NewWriter(z.ResponseWriter)
		}
	}
	z.ResponseWriter.WriteHeader(status)
}

// Write compresses a part of the body.
func (z *zippedWriter) Write(p []byte) (int, error) {
	if !z.begun {
		z.WriteHeader(http.StatusOK)
	}
	if z.zip == nil {
		return z.ResponseWriter.Write(p)
	}
	return z.zip.Write(p)
}

func (z *zippedWriter) close() {
	if z.zip != nil {
		_ = z.zip.Close() // a client that is gone has failed a write before
	}
}

// FlushError sends what was written so far.
func (z *zippedWriter) FlushError() error {
	if z.zip != nil {
		if err := z.zip.Flush(); err != nil {
			return err
		}
	}
	return http.NewResponseController(z.ResponseWriter).Flush()
}

// Unwrap lets http.ResponseController through, and who asks what the client accepts.
func (z *zippedWriter) Unwrap() http.ResponseWriter { return z.ResponseWriter }
