package main

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	api "github.com/zixly/sweepline/shared/client"
	"github.com/zixly/sweepline/shared/job"
)

// said collects what was written.
type said struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (s *said) wait(t *testing.T, want string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(s.String(), want) }, time.Minute, 5*time.Millisecond, "%q is not said", want)
}

// clientOf calls a server through connections of its own.
func clientOf(t *testing.T, base string) *api.Client {
	t.Helper()
	c, err := api.New(base, "", api.WithHTTPClient(&http.Client{Transport: &http.Transport{}}))
	require.NoError(t, err)
	return c
}

// watched is a server with one job on a fixed address.
type watched struct {
	status job.State
	// stuck answers nothing new while it is locked.
	stuck sync.RWMutex
}

func (h *watched) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.stuck.RLock()
	defer h.stuck.RUnlock()
	switch {
	case strings.HasSuffix(r.URL.Path, "/stream"):
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "retry: 10\n\nevent: status\ndata: {\"status\":%q,\"progress\":10}\n\n", h.status)
		_ = http.NewResponseController(w).Flush()
		h.stuck.RUnlock()
		<-r.Context().Done()
		h.stuck.RLock()
	case strings.HasPrefix(r.URL.Path, "/api/jobs/"):
		fmt.Fprintf(w, `{"status":%q}`, h.status)
	default:
		http.NotFound(w, r)
	}
}

func listenAt(t *testing.T, at string, h http.Handler) *http.Server {
	t.Helper()
	var l net.Listener
	require.Eventually(t, func() bool {
		var err error
		l, err = net.Listen("tcp", at)
		return err == nil
	}, time.Minute, 10*time.Millisecond)
	s := &http.Server{Handler: h, Addr: l.Addr().String(), ReadHeaderTimeout: time.Minute}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestWatchSaysWhenTheServerDoesNotAnswer(t *testing.T) {
	t.Parallel()
	for name, between := range map[string]func(t *testing.T, s *http.Server, h *watched, errs *said){
		"gone": func(t *testing.T, s *http.Server, _ *watched, errs *said) {
			require.NoError(t, s.Close())
			errs.wait(t, "does not answer")
		},
		"stuck": func(t *testing.T, s *http.Server, h *watched, errs *said) {
			h.stuck.Lock()
			errs.wait(t, "does not answer")
			h.stuck.Unlock()
			errs.wait(t, "answers again")
			require.NoError(t, s.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := &watched{status: job.Running}
			s := listenAt(t, "127.0.0.1:0", first)
			c := clientOf(t, "http://"+s.Addr)
			errs, ended := &said{}, make(chan api.Job)
			go func() {
				j, err := follow(t.Context(), c, "x", errs)
				if err != nil {
					errs.text.WriteString(err.Error())
				}
				ended <- j
			}()
			errs.wait(t, "running")
			between(t, s, first, errs)
			listenAt(t, s.Addr, &watched{status: job.Completed})
			require.Equal(t, job.Completed, (<-ended).Status, errs)
			require.Equal(t, strings.Count(errs.String(), "does not answer"), strings.Count(errs.String(), "answers again"), errs)
			require.True(t, strings.HasSuffix(errs.String(), "answers again\ncompleted\n"), errs)
		})
	}
}

// Nobody was ever there: that is said at once, too, not after two minutes.
func TestWatchSaysThatNobodyIsThere(t *testing.T) {
	t.Parallel()
	for name, watch := range map[string]func(t *testing.T, c *api.Client, errs *said){
		"watch":  func(t *testing.T, c *api.Client, errs *said) { _, _ = follow(t.Context(), c, "x", errs) },
		"follow": func(t *testing.T, c *api.Client, errs *said) { _ = followJobs(t.Context(), c, errs, nil, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			base := "http://" + l.Addr().String()
			require.NoError(t, l.Close())
			errs := &said{}
			c := clientOf(t, base)
			go watch(t, c, errs)
			errs.wait(t, base+" does not answer")
		})
	}
}
