package dashboard

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/jobs"
)

// shownRetries is how many events between two attempts the page lists.
const shownRetries = 20

type brokerPageView struct {
	view
	jobs.BrokerView
	Health  []health
	Slots   *slotsView
	Retries []broker.Retry
	// Rates are what became of deliveries, of each broker.
	Rates []ratesView
	// Done says what the caller's last act did.
	Done string
	// Away says that the broker cannot be read now.
	Away bool
}

func (f *Function) brokerPage(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	v := brokerPageView{view: f.view(r), Health: f.health(ctx), Slots: f.slotsInUse(ctx), Done: brokerDone[r.URL.Query().Get("done")]}
	var err error
	if v.BrokerView, err = f.jobs.ReadBroker(ctx); err == nil {
		v.Retries, err = f.retries(ctx, v.Triggers)
	}
	if err != nil {
		slog.WarnContext(ctx, "reading broker failed", "error", err)
		v.Away = true
	} else if v.Rates, err = f.rates(ctx); err != nil { // the page is of use without them
		slog.WarnContext(ctx, "reading rates of deliveries failed", "error", err)
	}
	render(w, r, http.StatusOK, "broker.html", v)
}

// retries lists the events that wait for another attempt, a few of each Trigger.
func (f *Function) retries(ctx context.Context, triggers []broker.TriggerInfo) ([]broker.Retry, error) {
	var all []broker.Retry
	for _, t := range triggers {
		if t.Retries == 0 || len(all) >= shownRetries {
			continue
		}
		some, err := f.jobs.Broker.Retries(ctx, t.Namespace, t.Broker, t.Name, shownRetries-len(all))
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// brokerDone are the acts' words for people.
var brokerDone = map[string]string{
	"pause":  "Paused. Events wait in the stream until you resume.",
	"resume": "Resumed. What waited is delivered now.",
	"replay": "Replaying. Events are delivered again in their order.",
}

func (f *Function) actOnTriggerFromPage(act string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		_, err := f.jobs.Steer(r.Context(), act, jobs.TriggerOf(r), r.PostFormValue("since"))
		switch {
		case errors.Is(err, broker.ErrNotFound):
			f.problem(w, r, http.StatusNotFound, "No such trigger", "It was removed meanwhile. Nothing was changed.")
		case err != nil:
			f.problemOf(w, r, err)
		default:
			http.Redirect(w, r, "/broker?done="+url.QueryEscape(act), http.StatusSeeOther)
		}
	}
}

// ReplayChoices are how far back the page offers to replay.
func (brokerPageView) ReplayChoices() []struct{ Value, Label string } {
	return []struct{ Value, Label string }{{"15m", "15 minutes"}, {"1h", "hour"}, {"24h", "day"}, {"168h", "week"}}
}

// Oldest is the age of a Trigger's oldest unfinished event.
func (brokerPageView) Oldest(age time.Duration) string {
	if age <= 0 {
		return "–"
	}
	return span(age)
}
