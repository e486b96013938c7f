package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// sweepBody is the sweep that every job asks for: one combination.
const sweepBody = `{"ticker":"DAX","fast_range":[10,10],"slow_range":[50,50],"step":1,"min_trades":10,"strategy_type":"SMA"}`

const webhookPath = "/webhook/trading-sweep"

// maker makes a load's n-th request, from 1 on.
type maker func(n int64) []byte

// same makes the same request each time.
func same(request []byte) maker { return func(int64) []byte { return request } }

// sent is one request's fate.
type sent struct {
	// due is when it should have been sent, began when it was, ended when its
	// answer had come.
	due, began, ended time.Time
	id                string // the job, of a 202
}

// answers are the requests of one load.
type answers struct {
	accepted []sent
	// refused counts answers of 429 and 503, which were tried again.
	refused int
	// began and ended are those of the load.
	began, ended time.Time
}

// closedLoop sends n requests from conns connections, each sending its next once it has
// the answer of the one before. Requests that are refused for now are sent again.
// n 0: until ctx ends, which is no error.
func closedLoop(ctx context.Context, host string, request maker, conns, n int) (*answers, error) {
	out := &answers{began: time.Now()}
	var next atomic.Int64
	parts := make([]answers, conns)
	errs := make([]error, conns)
	var wg sync.WaitGroup
	for k := range conns {
		wg.Go(func() {
			c := &conn{address: host}
			defer c.close()
			for ctx.Err() == nil {
				i := next.Add(1)
				if n > 0 && i > int64(n) {
					return
				}
				if errs[k] = parts[k].one(ctx, c, request(i), time.Now()); errs[k] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	out.join(parts)
	if timeIsOver := n == 0 && ctx.Err() != nil; timeIsOver {
		errs = nil // of what was under way
	}
	return out, errors.Join(errs...)
}

// openLoop sends n requests at a rate, each at its own time, whatever the others
// take. Where all connections wait for answers the request goes out late, and its
// latency counts from when it was due: nothing is left out (coordinated omission).
func openLoop(ctx context.Context, host string, request maker, conns, n int, rate float64) (*answers, error) {
	return openLoopOver(ctx, func() *conn { return &conn{address: host} }, request, conns, n, rate)
}

func openLoopOver(ctx context.Context, connection func() *conn, request maker, conns, n int, rate float64) (*answers, error) {
	out := &answers{began: time.Now()}
	due := make(chan int, n) // the schedule never waits
	parts := make([]answers, conns)
	errs := make([]error, conns)
	var wg sync.WaitGroup
	for k := range conns {
		wg.Go(func() {
			c := connection()
			defer c.close()
			for i := range due {
				if errs[k] = parts[k].one(ctx, c, request(int64(i)+1), dueAt(out.began, i, rate)); errs[k] != nil {
					return
				}
			}
		})
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := range n {
		timer.Reset(time.Until(dueAt(out.began, i, rate)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			close(due)
			wg.Wait()
			return out, ctx.Err()
		}
		due <- i
	}
	close(due)
	wg.Wait()
	out.join(parts)
	return out, errors.Join(errs...)
}

// dueAt is when the i-th request of an open loop is due, from 0 on.
func dueAt(began time.Time, i int, rate float64) time.Time {
	return began.Add(time.Duration(float64(i) / rate * float64(time.Second)))
}

func (a *answers) join(parts []answers) {
	a.ended = time.Now()
	for _, p := range parts {
		a.accepted = append(a.accepted, p.accepted...)
		a.refused += p.refused
	}
}

// one sends a request until it is accepted.
func (a *answers) one(ctx context.Context, c *conn, request []byte, due time.Time) error {
	for {
		s := sent{due: due, began: time.Now()}
		status, _, body, err := c.send(ctx, request)
		s.ended = time.Now()
		switch {
		case err != nil:
			return err
		case status == http.StatusAccepted:
			s.id = field(body, "job_id")
			a.accepted = append(a.accepted, s)
			return nil
		case status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests:
			a.refused++
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(100 * time.Millisecond):
			}
		default:
			return fmt.Errorf("answered with %d: %.200s", status, body)
		}
	}
}

// rate is requests a second.
func (a *answers) rate() float64 { return float64(len(a.accepted)) / a.ended.Sub(a.began).Seconds() }

// sorted returns the times that each request took, as take measures them.
func sorted(all []sent, take func(sent) time.Duration) []time.Duration {
	d := make([]time.Duration, 0, len(all))
	for _, s := range all {
		d = append(d, take(s))
	}
	slices.Sort(d)
	return d
}

// percentile is the smallest of the sorted values that p percent do not exceed.
func percentile(d []time.Duration, p float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	i := int(float64(len(d))*p/100+.9999999) - 1
	return d[min(max(i, 0), len(d)-1)]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
