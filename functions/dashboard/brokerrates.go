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

// rates reads what became of deliveries of all brokers lately.
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
		lately := map[string]*broker.Rate{}
		for _, hour := range r.Hours {
			for trigger, rate := range hour {
				if lately[trigger] == nil {
					lately[trigger] = &broker.Rate{}
				}
				lately[trigger].Add(rate)
			}
		}
		for trigger, rate := range lately {
			v.byTrigger[trigger] = "Last 24 hours: " + toldRate(rate)
		}
		views = append(views, v)
	}
	return views, nil
}

// toldRate says what became of deliveries.
func toldRate(r *broker.Rate) string {
	told := grouped(int(r.Delivered)) + " delivered"
	if r.Failed > 0 {
		told += ", " + plural(int(r.Failed), "failed attempt", "failed attempts")
	}
	if r.DeadLettered > 0 {
		told += ", " + plural(int(r.DeadLettered), "dead letter", "dead letters")
	}
	if r.Delivered > 0 {
		told += fmt.Sprintf("; half within %s, 95 %% within %s", span(r.Within(.5)), span(r.Within(.95)))
	}
	return told
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
		half, slow := all.Within(.5).Seconds(), all.Within(.95).Seconds()
		counts = append(counts, interval{begin: at, told: toldRate(all), amounts: []amount{{"ok", 0, ok}, {"bad", ok, ok + failed}}})
		latencies = append(latencies, interval{begin: at, told: toldRate(all), amounts: []amount{{"half", 0, half}, {"slow", half, slow}}})
	}
	return []chart{newChart(title, of+": "+toldRate(whole), every, counts), newChart("Time to delivery", of+": half and 95 % of the events", every, latencies)}
}

// Lately says what became of a Trigger's deliveries in the last 24 hours; empty where
// that is nothing.
func (v brokerPageView) Lately(t broker.TriggerInfo) string {
	for _, r := range v.Rates {
		if r.Broker == t.Namespace+"/"+t.Broker {
			return r.byTrigger[t.Name]
		}
	}
	return ""
}
