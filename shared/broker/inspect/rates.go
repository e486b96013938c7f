package inspect

import (
	"context"
	"time"

	"github.com/zixly/sweepline/shared/broker/stream"
)

// How much of the past is told of.
const (
	hours = 24
	days  = 30
)

// Rates are what became of a broker's deliveries, by Trigger: hour by hour of the last
// day, and day by day of the last 30. The last of each goes on.
type Rates struct {
	Namespace, Broker string
	// Hours and Days begin at Hour and Day, times in UTC.
	Hour, Day   time.Time
	Hours, Days []map[string]*stream.Rate
}

// Rates tells what became of deliveries of all brokers. Processes write it once a minute.
func (i *Inspector) Rates(ctx context.Context, now time.Time) ([]Rates, error) {
	brokers, err := i.store.Brokers(ctx)
	if err != nil {
		return nil, err
	}
	var all []Rates
	for _, b := range brokers {
		r := Rates{
			Namespace: b.Namespace, Broker: b.Name,
			Hour: now.UTC().Truncate(time.Hour).Add(-(hours - 1) * time.Hour), Day: now.UTC().Truncate(24*time.Hour).AddDate(0, 0, -(days - 1)),
		}
		if r.Hours, err = i.store.Rates(ctx, b, stream.Hourly, now, hours); err != nil {
			return nil, err
		}
		if r.Days, err = i.store.Rates(ctx, b, stream.Daily, now, days); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}
