package jobs

import (
	"errors"
	"net/http"
	"strings"

	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
)

// Guard stands around all addresses of a function: it sets the headers of every
// answer, refuses what a browser sends from another site, and answers for addresses
// and methods that mux does not know in our own form. A page of another site must
// not act with our cookie, nor, where no key is asked for, with nothing at all.
// Our own pages are those of the host that was asked and of WEBHOOK_BASE_URL: proxies
// that put their own name into Host leave Origin as it was.
func (s *Service) Guard(mux *http.ServeMux) http.Handler {
	guard := http.NewCrossOriginProtection()
	if s.base.origin != "" {
		_ = guard.AddTrustedOrigin(s.base.origin) // of the form that it takes, by parseBase
	}
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		function.WriteError(w, http.StatusForbidden, function.CodeCrossOrigin, "requests from other sites are refused")
	}))
	return secure(s.base.below(guard.Handler(jsonErrors(mux))))
}

// OfJob is h for an address that names a job.
// Rule: RFC 9562, 4: a UUID is read without regard to case.
func OfJob(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.SetPathValue("id", strings.ToLower(r.PathValue("id")))
		h(w, r)
	}
}

// Query is h for an address that takes these query parameters and no others.
func Query(h http.HandlerFunc, allowed ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if unknown := function.UnknownQuery(r, allowed...); unknown != nil {
			AnswerBadQuery(w, unknown)
			return
		}
		h(w, r)
	}
}

// Policy allows what the pages are made of: our own files and nothing inline.
const Policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", Policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-store") // answers depend on whose key asked; assets say otherwise
		next.ServeHTTP(w, r)
	})
}

// jsonErrors answers what the mux has no handler for in our own form.
func jsonErrors(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if plain, ok := withoutSlash(r); pattern == "" && ok { // some proxies append it
			r = plain
			h, pattern = mux.Handler(r)
		}
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		probe := &headerOnly{header: http.Header{}}
		h.ServeHTTP(probe, r)
		if probe.status == http.StatusMethodNotAllowed {
			function.WriteMethodNotAllowed(w, probe.header.Get("Allow"))
			return
		}
		function.WriteNotFound(w, "address")
	})
}

// withoutSlash is r without the slash at the end of its path; false if there is none.
func withoutSlash(r *http.Request) (*http.Request, bool) {
	path, slash := strings.CutSuffix(r.URL.Path, "/")
	if !slash || path == "" {
		return r, false
	}
	plain := r.Clone(r.Context())
	plain.URL.Path, plain.URL.RawPath = path, strings.TrimSuffix(r.URL.RawPath, "/")
	return plain, true
}

// headerOnly keeps a handler's status and headers and drops its body.
type headerOnly struct {
	header http.Header
	status int
}

func (h *headerOnly) Header() http.Header         { return h.header }
func (h *headerOnly) WriteHeader(status int)      { h.status = status }
func (h *headerOnly) Write(b []byte) (int, error) { return len(b), nil }

// AnswerMissing answers for a job that cannot be shown.
func AnswerMissing(w http.ResponseWriter, err error) {
	if errors.Is(err, ErrNoJob) {
		function.WriteNotFound(w, "job")
		return
	}
	function.WriteUnavailable(w, err)
}

// AnswerBadQuery answers with the problems of a query, a job.Invalid.
func AnswerBadQuery(w http.ResponseWriter, err error) {
	var invalid job.Invalid
	errors.As(err, &invalid)
	function.WriteError(w, http.StatusBadRequest, function.CodeInvalid, "the query is not valid", invalid...)
}
