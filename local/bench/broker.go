package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	brokerPath   = "/bench/default"
	brokerConns  = 64
	brokerEvents = 10_000
	// brokerBytes is the size of an event's data.
	brokerBytes = 256
)

// subscriber takes events and remembers when.
type subscriber struct {
	server

	mu   sync.Mutex
	seen map[int64]time.Time
	want int
	all  chan struct{}
}

func (s *subscriber) expect(n int) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen, s.want, s.all = make(map[int64]time.Time, n), n, make(chan struct{})
	return s.all
}

func (s *subscriber) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := time.Now()
	n, err := strconv.ParseInt(r.Header.Get("Ce-Id"), 10, 64)
	if err != nil {
		http.Error(w, "no id", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	if _, again := s.seen[n]; !again {
		s.seen[n] = at
		if len(s.seen) == s.want {
			close(s.all)
		}
	}
	s.mu.Unlock()
	w.WriteHeader(http.StatusOK)
}

// brokerAlone measures the broker without the pipeline: one Trigger, whose subscriber
// answers at once.
func (s *suite) brokerAlone(ctx context.Context) (err error) {
	if err := s.redis.client.FlushAll(ctx).Err(); err != nil {
		return fmt.Errorf("empty redis: %w", err)
	}
	sub := &subscriber{}
	sub.expect(0)
	if err := sub.start(sub); err != nil {
		return err
	}
	defer sub.close()
	dir, err := os.MkdirTemp(s.dir, "broker-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	manifest := fmt.Sprintf(`apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: default, namespace: bench}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: all, namespace: bench}
spec: {broker: default, subscriber: {uri: "%s/"}}
`, sub.url)
	if err := os.WriteFile(filepath.Join(dir, "bench.yaml"), []byte(manifest), 0o600); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	p, err := startProgram(ctx, s.program, func(port, admin int) (args, env []string) {
		return []string{"broker", "--config", dir, "--port", strconv.Itoa(port), "--admin-port", strconv.Itoa(admin)},
			[]string{"REDIS_URL=redis://" + s.redis.address}
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	request := events(p.host)
	err = p.poll(ctx, func(c *conn) bool {
		status, _, _, err := c.send(ctx, request(-1))
		return err == nil && status == http.StatusAccepted
	})
	if err != nil {
		return err
	}
	id := int64(0)
	next := func() maker {
		from := id
		id += 1_000_000
		return func(n int64) []byte { return request(from + n) }
	}
	await := func(all <-chan struct{}) error {
		timer := time.NewTimer(time.Minute)
		defer timer.Stop()
		select {
		case <-all:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return fmt.Errorf("events were accepted and not delivered within a minute: %s", p.out)
		}
	}
	delivered := sub.expect(brokerEvents)
	a, err := closedLoop(ctx, p.host, next(), brokerConns, brokerEvents)
	if err != nil {
		return err
	}
	if err := await(delivered); err != nil {
		return err
	}
	s.add("broker.accepted_per_s", a.rate())
	s.add("broker.delivered_per_s", brokerEvents/time.Since(a.began).Seconds())

	n := int(openRate * s.Span.Seconds())
	delivered = sub.expect(n)
	from := id
	if a, err = openLoop(ctx, p.host, next(), brokerConns, n, openRate); err != nil {
		return err
	}
	if err := await(delivered); err != nil {
		return err
	}
	var took []time.Duration
	for i := range n {
		took = append(took, sub.seen[from+int64(i)+1].Sub(dueAt(a.began, i, openRate)))
	}
	slices.Sort(took)
	s.add("broker.p50_ms", ms(percentile(took, 50)))
	s.add("broker.p99_ms", ms(percentile(took, 99)))
	return nil
}

// events makes CloudEvents in binary mode, numbered.
func events(host string) maker {
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nContent-Type: text/plain\r\nCe-Specversion: 1.0\r\n"+
		"Ce-Source: /bench\r\nCe-Type: com.example.bench\r\nCe-Time: 2026-01-01T00:00:00Z\r\nCe-Id: ", brokerPath, host, brokerBytes)
	tail := "\r\n\r\n" + string(make([]byte, brokerBytes))
	return func(n int64) []byte {
		b := make([]byte, 0, len(head)+len(tail)+20)
		return append(strconv.AppendInt(append(b, head...), n, 10), tail...)
	}
}
