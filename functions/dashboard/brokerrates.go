package dashboard

import (
	"context"
	"fmt"
	"time"

	"github.com/zixly/sweepline/shared/broker"
)

// ratesView is what became of the deliveries of one broker, drawn.
type ratesView struct {
	Broker string
	Charts []chart
	// byTrigger says what became of the deliveries of each Trigger in the last 24 hours.
	byTrigger map[string]string
}

// rates reads what became of deliveries of all brokers last24h.
func (f *Function) rates(ctx context.Context) ([]ratesView, error) {
	read, err := f.jobs.Rates(ctx)
	if err != nil {
		return nil, err
	}
	views := make([]ratesView, 0, len(read))
	for _, r := range read {
		v := ratesView{Broker: r.Namespace + "/" + r.Broker, byTrigger: map[string]string{}}
		v.Charts = append(v.Charts, deliveryCharts("Deliveries an hour", "last 24 hours", r.Hour, time.Hour, r.Hours)...)
		v.Charts = append(v.Charts, deliveryCharts("Deliveries a day", "last 30 days", r.Day, 24*time.Hour, r.Days)...)
		last24h := map[string]*broker.Rate{}
		for _, hour := range r.Hours {
			for trigger, rate := range hour {
				if last24h[trigger] == nil {
					last24h[trigger] = &broker.Rate{}
				}
				last24h[trigger].Add(rate)
			}
		}
		for trigger, rate := range last24h {
			v.byTrigger[trigger] = "Last 24 hours: " + rateSummary(rate)
		}
		views = append(views, v)
	}
	return views, nil
}

// rateSummary says what became of deliveries.
func rateSummary(r *broker.Rate) string {
	summary := grouped(int(r.Delivered)) + " delivered"
	if r.Failed > 0 {
		summary += ", " + plural(int(r.Failed), "failed attempt", "failed attempts")
	}
	if r.DeadLettered > 0 {
		summary += ", " + plural(int(r.DeadLettered), "dead letter", "dead letters")
	}
	if r.Delivered > 0 {
		summary += fmt.Sprintf("; half within %s, 95 %% within %s", span(r.Quantile(.5)), span(r.Quantile(.95)))
	}
	return summary
}

// deliveryCharts draws how many events were delivered in each interval, of all Triggers,
// and how long after they were stored.
func deliveryCharts(title, of string, begin time.Time, every time.Duration, rates []map[string]*broker.Rate) []chart {
	var counts, latencies []interval
	whole := &broker.Rate{}
	for i, triggers := range rates {
		all := &broker.Rate{}
		for _, r := range triggers {
			all.Add(r)
		}
		whole.Add(all)
		at, ok, failed := begin.Add(time.Duration(i)*every), float64(all.Delivered), float64(all.Failed)
		half, slow := all.Quantile(.5).Seconds(), all.Quantile(.95).Seconds()
		counts = append(counts, interval{begin: at, summary: rateSummary(all), amounts: []amount{{"ok", 0, ok}, {"bad", ok, ok + failed}}})
		latencies = append(latencies, interval{begin: at, summary: rateSummary(all), amounts: []amount{{"half", 0, half}, {"slow", half, slow}}})
	}
	return []chart{newChart(title, of+": "+rateSummary(whole), every, counts), newChart("Time to delivery", of+": half and 95 % of the events", every, latencies)}
}

// Last24h says what became of a Trigger's deliveries in the last 24 hours; empty where
// that is nothing.
func (v brokerPageView) Last24h(t broker.TriggerInfo) string {
	for _, r := range v.Rates {
		if r.Broker == t.Namespace+"/"+t.Broker {
			return r.byTrigger[t.Name]
		}
	}
	return ""
}
