package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/enqueue"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/telemetry"
)

// sweepForm is the form as its sender left it.
type sweepForm struct {
	Ticker, Labels, Strategy, Config   string
	FastFrom, FastTo, SlowFrom, SlowTo string
	Step, MinTrades, NotifyURL         string
}

// emptyForm asks for what the demo and the README ask for, so that all give the same best
// row. The averages of a few years cross some forty times: with the webhook's own default
// of fifty trades all scores would be low.
var emptyForm = sweepForm{FastFrom: "5", FastTo: "50", SlowFrom: "20", SlowTo: "200", Step: "5", MinTrades: "10", Strategy: job.SMA}

// fields ties the form's inputs to their names.
func (s *sweepForm) fields() map[string]*string {
	return map[string]*string{
		"ticker": &s.Ticker, "labels": &s.Labels, "strategy_type": &s.Strategy, "config_path": &s.Config, "fast_from": &s.FastFrom, "fast_to": &s.FastTo,
		"slow_from": &s.SlowFrom, "slow_to": &s.SlowTo, "step": &s.Step, "min_trades": &s.MinTrades, "notify_url": &s.NotifyURL,
	}
}

func readForm(v url.Values, s sweepForm) sweepForm {
	for name, into := range s.fields() {
		if v.Has(name) {
			*into = strings.TrimSpace(v.Get(name))
		}
	}
	return s
}

// separated are the words of a text, with spaces, commas or semicolons between.
func separated(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ';' || unicode.IsSpace(r) })
}

// request reads the form by the rules of the webhook: it is put in the form that
// a client would send. Several tickers are a group. The error is a job.Invalid.
func (s sweepForm) request() (job.Request, error) {
	body := map[string]any{}
	set := func(name, text string) {
		if text != "" {
			body[name] = text
		}
	}
	if tickers := separated(s.Ticker); len(tickers) > 1 {
		body["tickers"] = tickers
	} else {
		set("ticker", s.Ticker)
	}
	if labels := separated(s.Labels); len(labels) > 0 {
		body["labels"] = labels
	}
	set("strategy_type", s.Strategy)
	set("config_path", s.Config)
	set("notify_url", s.NotifyURL)
	for name, text := range map[string]string{"step": s.Step, "min_trades": s.MinTrades} {
		if text != "" {
			body[name] = whole(text)
		}
	}
	for name, two := range map[string][2]string{"fast_range": {s.FastFrom, s.FastTo}, "slow_range": {s.SlowFrom, s.SlowTo}} {
		if two != [2]string{} {
			body[name] = []any{whole(two[0]), whole(two[1])}
		}
	}
	data, err := json.Marshal(body)
	if err != nil {
		return job.Request{}, job.Invalid{{Field: "body", Message: "is not text"}}
	}
	return job.ParseRequest(data)
}

// asked is what the form asks for, if it may be.
func (f *Function) asked(s sweepForm) (job.Request, error) {
	r, err := s.request()
	if err == nil {
		err = f.hosts.Check(r.NotifyURL)
	}
	return r, err
}

// whole is a number where text is one; anything else is left to the rules.
func whole(text string) any {
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	return text
}

type newView struct {
	view
	Form sweepForm
	// Problems are by the rules' names of the fields.
	Problems map[string][]string
	// Combinations counts what the sweep would compute; 0 if it is not valid.
	Combinations int
	// Sweeps is how many tickers there are, 0 for one.
	Sweeps     int
	Notice     string
	Key        string
	Strategies []string
	// CallsURLs says that there is a field for an address.
	CallsURLs bool
}

// Problem joins the problems of one field.
func (v newView) Problem(field string) string { return strings.Join(v.Problems[field], "; ") }

func (f *Function) newView(r *http.Request, s sweepForm) newView {
	v := newView{view: f.view(r), Form: s, Key: uuid.NewString(), Strategies: []string{job.SMA, job.EMA, job.MACD}, CallsURLs: f.hosts.Enabled()}
	if r, err := s.request(); err == nil {
		v.Combinations, v.Sweeps = r.Sweep.Combinations(), len(r.Tickers)
	}
	return v
}

// explain shows every problem at its field.
func (v *newView) explain(err error) {
	var invalid job.Invalid
	if !errors.As(err, &invalid) {
		return
	}
	v.Problems = map[string][]string{}
	for _, p := range invalid {
		message := strings.Replace(p.Message, "two integers, [first, last]", "two whole numbers", 1)
		message = strings.Replace(message, "an integer", "a whole number", 1)
		field := p.Field
		if field == "tickers" {
			field = "ticker" // one input
		}
		v.Problems[field] = append(v.Problems[field], message)
	}
}

// newPage shows the form, filled from the query: a job's page links to it with
// that job's parameters, and the estimate is kept up to date that way. With
// "check" it shows problems, too.
func (f *Function) newPage(w http.ResponseWriter, r *http.Request) {
	s := readForm(r.URL.Query(), emptyForm)
	v := f.newView(r, s)
	if r.URL.Query().Has("check") {
		_, err := f.asked(s)
		v.explain(err)
	}
	render(w, r, http.StatusOK, "new.html", v)
}

// submitFromPage takes the sweep in. The form's key makes a double click, or a
// reload, one job.
func (f *Function) submitFromPage(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		f.problem(w, r, http.StatusBadRequest, "That was not understood", "The form is damaged. Nothing was started.")
		return
	}
	s := readForm(r.PostForm, sweepForm{})
	v := f.newView(r, s)
	key := r.PostForm.Get("key")
	if uuid.Validate(key) == nil {
		v.Key = key
	}
	asked, err := f.asked(s)
	if err != nil {
		v.explain(err)
		render(w, r, http.StatusUnprocessableEntity, "new.html", v)
		return
	}
	to, err := f.takeIn(r.Context(), asked, v.Key)
	switch {
	case errors.Is(err, enqueue.ErrConflict):
		v.Key = uuid.NewString()
		v.Notice = "This form has been sent already, with other values. Send it again to start another one."
		render(w, r, http.StatusConflict, "new.html", v)
	case tooMuch(w, err):
		v.Notice = "You have as many open jobs as one tenant may, so nothing is started yet. Send the form again when some have ended."
		render(w, r, http.StatusTooManyRequests, "new.html", v)
	case err != nil:
		slog.WarnContext(r.Context(), "job not accepted", "error", err)
		v.Notice = "The queue does not answer, so nothing is started yet. Send the form again in a moment: it will be one job, however often you do."
		render(w, r, http.StatusServiceUnavailable, "new.html", v)
	default:
		http.Redirect(w, r, to, http.StatusSeeOther) //nolint:gosec // a page of our own, of what was taken in
	}
}

// takeIn takes a job or a group in, and returns the address of its page.
func (f *Function) takeIn(ctx context.Context, asked job.Request, key string) (string, error) {
	ctx, cancel := context.WithTimeout(telemetry.Start(ctx), 8*time.Second)
	defer cancel()
	// No header holds a newline, so the key is none of the webhook's.
	r := enqueue.Request{Tenant: auth.FromContext(ctx), Key: "form\n" + key, Sweep: asked.Sweep, Labels: asked.Labels, NotifyURL: asked.NotifyURL, Shares: f.jobs.Keys.Shares()}
	var got []enqueue.Accepted
	var err error
	if asked.Tickers != nil {
		got, err = f.jobs.Enqueuer.EnqueueGroup(ctx, r, asked.Tickers)
	} else {
		got = make([]enqueue.Accepted, 1)
		got[0], err = f.jobs.Enqueuer.Enqueue(ctx, r)
	}
	if err != nil {
		return "", err
	}
	for _, a := range got {
		h := a.Header
		slog.InfoContext(ctx, "Job queued", "job_id", h.JobID, "job_type", h.JobType, "tenant_id", h.TenantID, //nolint:sloglint // the wording is promised
			"ticker", h.Parameters.Ticker, "status", string(job.Queued))
	}
	if asked.Tickers != nil {
		return groupPath(got[0].Header.GroupID), nil
	}
	return "/jobs/" + got[0].Header.JobID, nil
}

// groupPath is the page of a group.
func groupPath(id string) string { return "/?group=" + url.QueryEscape(id) }
