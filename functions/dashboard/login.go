package dashboard

import (
	"net/http"
	"net/url"
	"strings"
)

// maxForm bounds the forms that pages send.
const maxForm = 4 << 10

// askForKey shows the form that asks for a tenant's key, in place of the page.
func (f *Function) askForKey(w http.ResponseWriter, r *http.Request) {
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
}

func (f *Function) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	next := localPath(r.PostFormValue("next"))
	if !f.jobs.Sessions.Begin(w, r, strings.TrimSpace(r.PostFormValue("key"))) {
		render(w, r, http.StatusUnauthorized, "login.html", loginView{Next: next, Wrong: true})
		return
	}
	http.Redirect(w, r, next, http.StatusSeeOther) //nolint:gosec // localPath lets no other host through
}

func (f *Function) logout(w http.ResponseWriter, r *http.Request) {
	f.jobs.Sessions.End(w, r)
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
