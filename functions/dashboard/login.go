package dashboard

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
)

// maxForm bounds the forms that pages send.
const maxForm = 4 << 10

// askForKey shows the form that asks for a tenant's key, in place of the page.
func (f *Function) askForKey(w http.ResponseWriter, r *http.Request, err error) {
	if tooMuch(w, err) {
		if _, named := f.jobs.Sessions.Identify(r); named == nil { // it asks too often
			f.problem(w, r, http.StatusTooManyRequests, "Too much at once", "Nothing was changed: "+err.Error()+". Try again in a moment.")
			return
		}
		render(w, r, http.StatusTooManyRequests, "login.html", loginView{Next: "/", Wait: true})
		return
	}
	next := r.URL.RequestURI()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		next = "/"
	}
	render(w, r, http.StatusUnauthorized, "login.html", loginView{Next: next})
}

type loginView struct {
	view
	Next  string
	Wrong bool
	// Wait says that too many wrong keys came from where this one did.
	Wait bool
}

func (f *Function) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	next := localPath(r.PostFormValue("next"))
	err := f.jobs.Sessions.Begin(w, r, strings.TrimSpace(r.PostFormValue("key")))
	switch {
	case err != nil && tooMuch(w, err):
		render(w, r, http.StatusTooManyRequests, "login.html", loginView{Next: next, Wait: true})
		return
	case err != nil:
		render(w, r, http.StatusUnauthorized, "login.html", loginView{Next: next, Wrong: true})
		return
	}
	http.Redirect(w, r, next, http.StatusSeeOther) //nolint:gosec // localPath lets no other host through
}

func (f *Function) logout(w http.ResponseWriter, r *http.Request) {
	if err := f.jobs.Sessions.End(w, r); err != nil {
		slog.WarnContext(r.Context(), "revoking session failed", "error", err)
		f.problem(w, r, http.StatusServiceUnavailable, "Still signed in", "The session could not be ended: a store does not answer. Try again in a moment.")
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// localPath keeps a redirect on our own site, whatever the form says.
func localPath(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(u.Path, "/") ||
		strings.HasPrefix(u.Path, "//") || strings.ContainsAny(text, "\\\r\n\t") {
		return "/"
	}
	return u.RequestURI()
}
