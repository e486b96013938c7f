package status

import (
	"net/http"
	"strings"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/function"
)

// routes lists every address of the function.
func (f *Function) routes() http.Handler {
	mux := http.NewServeMux()
	// Rule: RFC 9562, 4: a UUID is read without regard to case.
	ofJob := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			r.SetPathValue("id", strings.ToLower(r.PathValue("id")))
			h(w, r)
		}
	}
	api := func(pattern string, h http.HandlerFunc) {
		mux.Handle(pattern, f.require(h, func(w http.ResponseWriter, _ *http.Request) { auth.Unauthorized(w) }))
	}
	page := func(pattern string, h http.HandlerFunc) {
		mux.Handle(pattern, f.require(h, f.askForKey))
	}
	api("GET /webhook/jobs/{id}", ofJob(f.getJob))
	api("GET /api/jobs", f.listJobs)
	api("GET /api/jobs/{id}", ofJob(f.getJob))
	api("GET /api/jobs/{id}/events", ofJob(f.getTimeline))
	api("GET /api/jobs/{id}/stream", ofJob(f.stream))
	api("GET /api/jobs/{id}/results.csv", ofJob(f.getResults))
	api("POST /api/jobs/{id}/cancel", ofJob(f.cancelJob))
	api("POST /api/jobs/{id}/retry", ofJob(f.retryJob))
	if f.Letters != nil {
		api("GET /api/dead-letters", f.listLetters)
		api("GET /api/dead-letters/{id}", f.showLetter)
		api("POST /api/dead-letters/{id}/redrive", f.redrive)
		api("DELETE /api/dead-letters/{id}", f.discard)
	}
	api("GET /api/stream", f.streamOverview)
	if f.Broker != nil {
		f.brokerRoutes(func(pattern string, h http.HandlerFunc) { api(pattern, f.operatorsOnly(h, refuseToMachines)) },
			func(pattern string, h http.HandlerFunc) { page(pattern, f.operatorsOnly(h, f.refuseToPeople)) })
	}
	if f.Letters != nil {
		page("GET /dead-letters", f.lettersPage)
		page("POST /dead-letters", f.actOnLetters)
	}
	if f.Mailbox != nil {
		page("GET /mailbox", f.mailboxPage)
		page("GET /mailbox/{id}", f.messagePage)
		page("GET /mailbox/{id}/mail", f.mailAlone)
	}
	page("GET /{$}", f.jobsPage)
	page("GET /new", f.newPage)
	page("POST /new", f.submitFromPage)
	page("GET /jobs/{id}", ofJob(f.jobPage))
	page("POST /jobs/{id}/cancel", ofJob(f.cancelFromPage))
	page("POST /jobs/{id}/retry", ofJob(f.retryFromPage))
	mux.HandleFunc("POST /login", f.login)
	mux.HandleFunc("POST /logout", f.logout)
	mux.Handle("GET /assets/", assetServer())
	mux.Handle("GET /favicon.ico", http.RedirectHandler("/assets/favicon.svg", http.StatusMovedPermanently))

	// A page of another site must not act with our cookie, nor, where no key
	// is asked for, with nothing at all.
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		function.WriteError(w, http.StatusForbidden, "cross_origin", "requests from other sites are refused")
	}))
	return secure(guard.Handler(jsonErrors(mux)))
}

// require lets requests through that name a tenant by key or cookie.
func (f *Function) require(next, refuse http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, ok := f.sessions.Identify(r)
		if !ok {
			refuse(w, r)
			return
		}
		next(w, r.WithContext(auth.NewContext(r.Context(), name)))
	})
}

// policy allows what the pages are made of: our own files and nothing inline.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
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
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		probe := &headerOnly{header: http.Header{}}
		h.ServeHTTP(probe, r)
		if probe.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", probe.header.Get("Allow"))
			function.WriteError(w, probe.status, function.CodeMethod, "this address takes "+probe.header.Get("Allow"))
			return
		}
		notFound(w)
	})
}

// headerOnly keeps a handler's status and headers and drops its body.
type headerOnly struct {
	header http.Header
	status int
}

func (h *headerOnly) Header() http.Header         { return h.header }
func (h *headerOnly) WriteHeader(status int)      { h.status = status }
func (h *headerOnly) Write(b []byte) (int, error) { return len(b), nil }

func notFound(w http.ResponseWriter) {
	function.WriteError(w, http.StatusNotFound, function.CodeNotFound, "no such address")
}
