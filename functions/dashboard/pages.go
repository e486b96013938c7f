package dashboard

import (
	"bytes"
	"embed"
	"errors"
	"html"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/jobs"
	"github.com/zixly/sweepline/shared/quota"
)

var (
	//go:embed pages/*.html
	pageFiles embed.FS
	//go:embed assets/*
	assetFiles embed.FS

	// pages are parsed for the first of them: the API alone needs none.
	pages = sync.OnceValue(parsePages)
)

// parsePages joins each page with the layout.
func parsePages() map[string]*template.Template {
	layout := template.Must(template.New("layout.html").Funcs(words).ParseFS(pageFiles, "pages/layout.html"))
	all := map[string]*template.Template{}
	for _, name := range []string{"jobs.html", "activity.html", "job.html", "compare.html", "act.html", "new.html", "deadletters.html", "broker.html", "mailbox.html", "message.html", "login.html", "problem.html"} {
		all[name] = template.Must(template.Must(layout.Clone()).ParseFS(pageFiles, "pages/"+name))
	}
	return all
}

// view is what the layout needs of every page.
type view struct {
	// SignedIn says that a cookie, not a header, named the tenant, so there is
	// something to sign out of.
	SignedIn bool
	Tenant   string
	// Now is the time that the page is of.
	Now time.Time
	// Path is the page's own address, to mark it in the navigation.
	Path string
	// These say which pages there are for the caller.
	HasDeadLetters, HasBroker, HasMailbox bool
	// Troubles are what is wrong, for operators.
	Troubles []jobs.Trouble
}

// DeadTally and BrokerTally are the numbers beside links of the navigation.
func (v view) DeadTally() (n int64) {
	for _, t := range v.Troubles {
		n += t.DeadLetters
	}
	return n
}

// BrokerTally counts what is wrong besides dead letters.
func (v view) BrokerTally() (n int) {
	for _, t := range v.Troubles {
		if t.DeadLetters == 0 {
			n++
		}
	}
	return n
}

func (f *Function) view(r *http.Request) view {
	return view{
		Troubles: f.jobs.Attention(r.Context(), f.askTrading()),
		Now:      f.jobs.Now(), SignedIn: !f.jobs.Keys.Open(), Tenant: auth.FromContext(r.Context()), Path: r.URL.Path,
		HasDeadLetters: f.jobs.DeadLetters != nil, HasBroker: f.jobs.Broker != nil && f.jobs.Operates(r.Context()), HasMailbox: f.Mailbox != nil,
	}
}

// Left is how long a job may still take, nothing where that is not known.
func (v view) Left(j jobs.Found) string { return left(j.ETA, v.Now) }

// render writes a page as a whole, so that a template's mistake is not half a
// page.
func render(w http.ResponseWriter, r *http.Request, status int, name string, data any) {
	send(w, status, execute(r, name, data))
}

// manyCells is from how many cells of a map on a page is a large read: one of some
// thousands, each a handful of texts to be escaped, takes a tenth of a second of a CPU.
const manyCells = 500

// renderMaps is render for a page with this many cells of maps. A large one is made within
// its reader's share of large reads.
func (f *Function) renderMaps(w http.ResponseWriter, r *http.Request, cells int, name string, data any) {
	if cells < manyCells {
		render(w, r, http.StatusOK, name, data)
		return
	}
	release, err := f.jobs.TakeRead(r.Context(), auth.FromContext(r.Context()))
	if err != nil {
		f.problemOf(w, r, err)
		return
	}
	send(w, http.StatusOK, func() []byte {
		defer release() // not kept by a reader that is slow to take it
		return execute(r, name, data)
	}())
}

// execute makes a page; nil where its template has a mistake.
func execute(r *http.Request, name string, data any) []byte {
	var out bytes.Buffer
	if err := pages()[name].Execute(&out, data); err != nil {
		slog.ErrorContext(r.Context(), "rendering page failed", "page", name, "error", err)
		return nil
	}
	return below(jobs.BasePath(r.Context()), out.Bytes())
}

// send answers with a page, or says that there is none.
func send(w http.ResponseWriter, status int, page []byte) {
	if page == nil {
		http.Error(w, "this page could not be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(page) //nolint:gosec // html/template has escaped what is in it
}

// ownLinks are the attributes of our pages that lead to our own addresses. No text of
// others looks like them: templates escape its quotes.
var ownLinks = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\b(href|src|action|formaction|data-stream|data-overview|data-part)="/([^/])`)
})

// below leads a page's links below a path. They are written without: pages need not
// know that they share a host.
func below(path string, page []byte) []byte {
	if path == "" {
		return page
	}
	return ownLinks().ReplaceAll(page, []byte(`${1}="`+strings.ReplaceAll(html.EscapeString(path), "$", "$$")+`/${2}`))
}

// assetServer serves style, script and icon.
func assetServer() http.Handler {
	files, err := fs.Sub(assetFiles, "assets")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	server := http.StripPrefix("/assets/", http.FileServerFS(files))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !fs.ValidPath(strings.TrimPrefix(r.URL.Path, "/assets/")) { // it would be a 500
			function.WriteNotFound(w, "address")
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=300")
		server.ServeHTTP(w, r)
	})
}

type problemView struct {
	view
	Title, Text string
	// Passing: the page can be shown once a store answers again, so it may be asked
	// for again. What was asked for with a form may not.
	Passing bool
}

func (f *Function) problem(w http.ResponseWriter, r *http.Request, status int, title, text string) {
	render(w, r, status, "problem.html", problemView{
		view: f.view(r), Title: title, Text: text, Passing: status == http.StatusServiceUnavailable && r.Method == http.MethodGet,
	})
}

func (f *Function) problemOf(w http.ResponseWriter, r *http.Request, err error) {
	var no jobs.Conflict
	switch {
	case errors.Is(err, jobs.ErrNoJob):
		f.problem(w, r, http.StatusNotFound, "No such job", "It does not exist, or it is not yours.")
	case tooMuch(w, err):
		f.problem(w, r, http.StatusTooManyRequests, "Too much at once", "Nothing was shown or changed: "+err.Error()+". Try again in a moment.")
	case errors.As(err, &no):
		f.problem(w, r, http.StatusConflict, "That cannot be done now", "Nothing was changed: "+no.Error()+".")
	default:
		slog.WarnContext(r.Context(), "loading page failed", "error", err)
		f.problem(w, r, http.StatusServiceUnavailable, "Not available now", "A store does not answer. Try again in a moment.")
	}
}

// tooMuch reports whether err is a share that is used up, and says in the header when
// to come back.
func tooMuch(w http.ResponseWriter, err error) bool {
	more, ok := errors.AsType[*quota.Exceeded](err)
	if ok {
		more.Headers(w.Header())
	}
	return ok
}
