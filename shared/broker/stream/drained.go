package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"strconv"

	"github.com/zixly/sweepline/shared/redisclient"
)

// Backlog is what a Trigger has not finished.
type Backlog struct {
	Broker  Broker
	Trigger string
	// Layout is the version that the data was written by.
	Layout string
	Events int64
}

// Backlogs lists the Triggers of all Brokers that have not finished everything, in
// the present layout and in the one before it: an upgrade over a change of the
// layout waits until there are none. Dead letters do not count.
func (s *Store) Backlogs(ctx context.Context) ([]Backlog, error) {
	brokers, err := s.Brokers(ctx)
	if err != nil {
		return nil, err
	}
	var out []Backlog
	for _, b := range brokers {
		layout, err := s.rdb.HGet(ctx, s.Partition(b, 0).keys.meta(), "layout").Result()
		switch {
		case isNil(err):
			found, err := s.backlogsOf1(ctx, b)
			if err != nil {
				return nil, fmt.Errorf("measure %s: %w", b, err)
			}
			out = append(out, found...)
		case err != nil:
			return nil, fmt.Errorf("measure %s: %w", b, err)
		case layout != Layout:
			return nil, fmt.Errorf("measure %s: layout %s: %w", b, layout, ErrLayout)
		default:
			queues, err := s.Queues(ctx, b)
			if err != nil {
				return nil, err
			}
			for _, q := range queues {
				if n := q.Lag + q.Pending + q.Retries; n > 0 {
					out = append(out, Backlog{b, q.Trigger, Layout, n})
				}
			}
		}
	}
	sort.Slice(out, func(i, j int) bool {
		return out[i].Broker.String()+out[i].Trigger < out[j].Broker.String()+out[j].Trigger
	})
	return out, nil
}

// backlogsOf1 reads layout 1: one stream a partition with a group for each Trigger,
// and waiting retries beside it. A group's unread entries count whether its filter
// would take them or not.
func (s *Store) backlogsOf1(ctx context.Context, b Broker) ([]Backlog, error) {
	zero := s.Partition(b, 0).keys
	triggers, err := s.rdb.HGetAll(ctx, zero.of("triggers")).Result()
	if err != nil {
		return nil, err
	}
	n := 1
	if text, err := s.rdb.HGet(ctx, zero.meta(), "partitions").Result(); err == nil {
		if n, err = strconv.Atoi(text); err != nil {
			return nil, fmt.Errorf("partitions: %w", err)
		}
	}
	left := make(map[string]int64, len(triggers))
	for i := range n {
		k := s.Partition(b, i).keys
		groups, err := s.rdb.XInfoGroups(ctx, k.of("stream")).Result()
		if err != nil && !redisclient.HasCode(err, "ERR") {
			return nil, err
		}
		for _, g := range groups {
			left[g.Name] += g.Pending
			unread, err := s.rdb.XRangeN(ctx, k.of("stream"), "("+g.LastDeliveredID, "+", pageSize).Result()
			if err != nil {
				return nil, err
			}
			left[g.Name] += int64(len(unread))
		}
		for name := range triggers {
			due, err := s.rdb.ZCard(ctx, k.of("t:"+name+":due")).Result()
			if err != nil {
				return nil, err
			}
			left[name] += due
		}
	}
	var out []Backlog
	for name, n := range left {
		if n > 0 {
			out = append(out, Backlog{b, name, "1", n})
		}
	}
	return out, nil
}

// MarshalJSON gives the broker as namespace and name.
func (b Backlog) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{
		"namespace": b.Broker.Namespace, "broker": b.Broker.Name, "trigger": b.Trigger, "layout": b.Layout, "events": b.Events,
	})
}
