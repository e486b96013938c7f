package bench

import (
	"io"
	"net/http"
	"sync"
	"time"
)

// slackStub is an incoming webhook that remembers when it was notified of each job.
type slackStub struct {
	server

	mu       sync.Mutex
	notified map[string]time.Time
	posts    int
	unnamed  int // messages without a job's id
	want     int
	all      chan struct{} // closed when want jobs have been notified of
}

func startSlack() (*slackStub, error) {
	s := &slackStub{}
	s.expect(0)
	return s, s.start(s)
}

// expect begins anew; the channel is closed once n different jobs were notified of.
func (s *slackStub) expect(n int) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notified, s.want, s.all = make(map[string]time.Time, n), n, make(chan struct{})
	return s.all
}

func (s *slackStub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return
	}
	at, id := time.Now(), field(body, "job_id")
	s.mu.Lock()
	s.posts++
	if id == "" {
		s.unnamed++
	} else if _, again := s.notified[id]; !again {
		s.notified[id] = at
		if len(s.notified) == s.want {
			close(s.all)
		}
	}
	s.mu.Unlock()
	_, _ = io.WriteString(w, "ok")
}

func (s *slackStub) counts() map[string]float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return map[string]float64{"posts": float64(s.posts), "conns": float64(s.conns.Load())}
}

// times are when each job was notified of, and how many messages named none.
func (s *slackStub) times() (notified map[string]time.Time, unnamed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	notified = make(map[string]time.Time, len(s.notified))
	for id, at := range s.notified {
		notified[id] = at
	}
	return notified, s.unnamed
}
