package status

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/ledger"
	"github.com/zixly/sweepline/shared/tenant"
)

var (
	//go:embed pages/*.html
	pageFiles embed.FS
	//go:embed assets/*
	assetFiles embed.FS

	pages = parsePages()
)

// parsePages joins each page with the layout.
func parsePages() map[string]*template.Template {
	layout := template.Must(template.New("layout.html").Funcs(template.FuncMap{
		"clock": clock, "iso": iso, "number": number, "duration": duration, "short": short, "eventName": eventName,
	}).ParseFS(pageFiles, "pages/layout.html"))
	all := map[string]*template.Template{}
	for _, name := range []string{"jobs.html", "job.html", "login.html", "problem.html"} {
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
}

func (f *Function) view(r *http.Request) view {
	return view{SignedIn: !f.Keys.Open(), Tenant: tenant.FromContext(r.Context())}
}

// render writes a page as a whole, so that a template's mistake is not half a
// page.
func render(w http.ResponseWriter, r *http.Request, status int, name string, data any) {
	var out bytes.Buffer
	if err := pages[name].Execute(&out, data); err != nil {
		slog.ErrorContext(r.Context(), "Page not rendered", "page", name, "error", err)
		http.Error(w, "this page could not be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = out.WriteTo(w)
}

// assetServer serves style, script and icon.
func assetServer() http.Handler {
	files, err := fs.Sub(assetFiles, "assets")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	server := http.StripPrefix("/assets/", http.FileServerFS(files))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/assets/" {
			notFound(w)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=300")
		server.ServeHTTP(w, r)
	})
}

type jobsView struct {
	view
	Jobs   []job.Job
	Status string
	Ticker string
	States []job.State
	// Next and First are links to pages, or empty.
	Next, First string
	Filtered    bool
}

func (f *Function) jobsPage(w http.ResponseWriter, r *http.Request) {
	q, err := parseQuery(r.URL.Query())
	if err != nil {
		f.problem(w, r, http.StatusBadRequest, "These filters make no sense", err.Error())
		return
	}
	page, err := f.Jobs.Jobs(r.Context(), tenant.FromContext(r.Context()), q)
	switch {
	case errors.Is(err, ledger.ErrCursor):
		f.problem(w, r, http.StatusBadRequest, "There is no such page", "The link is damaged. Start from the first page.")
		return
	case err != nil:
		slog.WarnContext(r.Context(), "Jobs not listed", "error", err)
		f.problem(w, r, http.StatusServiceUnavailable, "The list is not available", "The database does not answer. Jobs run on and none is lost; try again in a moment.")
		return
	}
	v := jobsView{
		view: f.view(r), Jobs: page.Jobs, Ticker: q.Ticker, Filtered: q.Ticker != "" || len(q.Status) > 0,
		States: []job.State{job.Queued, job.Running, job.Completed, job.Failed},
	}
	if len(q.Status) > 0 {
		v.Status = string(q.Status[0])
	}
	if page.Next != "" {
		v.Next = pageLink(r.URL, page.Next)
	}
	if q.Cursor != "" {
		v.First = pageLink(r.URL, "")
	}
	render(w, r, http.StatusOK, "jobs.html", v)
}

func pageLink(u *url.URL, cursor string) string {
	v := u.Query()
	v.Del("cursor")
	if cursor != "" {
		v.Set("cursor", cursor)
	}
	return "/?" + v.Encode()
}

type jobView struct {
	view
	Job      found
	Timeline []job.TimelineEvent
	// Late says that the timeline could not be read.
	Late bool
	// RetryKey makes a double click on retry one job.
	RetryKey string
}

// CanCancel and CanRetry say which acts the job's state allows.
func (v jobView) CanCancel() bool { return !v.Job.Status.Terminal() }

// CanRetry says that the job failed.
func (v jobView) CanRetry() bool { return v.Job.Status == job.Failed }

func (f *Function) jobPage(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	j, err := f.find(r.Context(), id)
	if err != nil {
		f.problemOf(w, r, err)
		return
	}
	v := jobView{view: f.view(r), Job: j, RetryKey: uuid.NewString()}
	if v.Timeline, err = f.timeline(r.Context(), id); err != nil {
		v.Late = true
	}
	render(w, r, http.StatusOK, "job.html", v)
}

func (f *Function) cancelFromPage(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if _, err := f.cancel(r.Context(), id); err != nil {
		f.problemOf(w, r, err)
		return
	}
	http.Redirect(w, r, "/jobs/"+id, http.StatusSeeOther)
}

func (f *Function) retryFromPage(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	got, err := f.retry(r.Context(), r.PathValue("id"), r.PostFormValue("key"))
	if err != nil {
		f.problemOf(w, r, err)
		return
	}
	http.Redirect(w, r, "/jobs/"+got.Header.JobID, http.StatusSeeOther)
}

type problemView struct {
	view
	Title, Text string
}

func (f *Function) problem(w http.ResponseWriter, r *http.Request, status int, title, text string) {
	render(w, r, status, "problem.html", problemView{f.view(r), title, text})
}

func (f *Function) problemOf(w http.ResponseWriter, r *http.Request, err error) {
	var no conflict
	switch {
	case errors.Is(err, errNoJob):
		f.problem(w, r, http.StatusNotFound, "No such job", "It does not exist, or it is not yours.")
	case errors.As(err, &no):
		f.problem(w, r, http.StatusConflict, "That cannot be done now", "Nothing was changed: "+no.Error()+".")
	default:
		slog.WarnContext(r.Context(), "Page not shown", "error", err)
		f.problem(w, r, http.StatusServiceUnavailable, "Not available now", "A store does not answer. Try again in a moment.")
	}
}

func iso(t any) string {
	switch at := t.(type) {
	case time.Time:
		return at.UTC().Format(time.RFC3339)
	case *time.Time:
		if at != nil {
			return iso(*at)
		}
	}
	return ""
}

func clock(t any) string {
	switch at := t.(type) {
	case time.Time:
		return at.UTC().Format("2006-01-02 15:04:05")
	case *time.Time:
		if at != nil {
			return clock(*at)
		}
	}
	return ""
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', 2, 64) }

func duration(seconds *float64) string {
	if seconds == nil {
		return ""
	}
	d := time.Duration(*seconds * float64(time.Second))
	if d < time.Minute {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// short names a job in a table; UUIDv7s of one minute begin alike, so it is
// the end that tells them apart.
func short(id string) string {
	if len(id) < 8 {
		return id
	}
	return "…" + id[len(id)-8:]
}

// eventNames are the timeline's words for people.
var eventNames = map[string]string{
	"com.zixly.sweep.requested.v1": "Taken in",
	"com.zixly.sweep.admitted.v1":  "Admitted to a free slot",
	"com.zixly.sweep.submitted.v1": "Submitted to the trading API",
	"com.zixly.sweep.completed.v1": "Sweep completed",
	"com.zixly.sweep.failed.v1":    "Sweep failed",
	"com.zixly.job.completed.v1":   "Results stored",
	"com.zixly.job.failed.v1":      "Failure stored",
	"com.zixly.job.notified.v1":    "Notification sent",
}

func eventName(typ string) string {
	if name, ok := eventNames[typ]; ok {
		return name
	}
	return typ
}
