package runner_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/local/runner"
	"github.com/zixly/sweepline/shared/job"
)

// people are told by Slack, and count how often of each job.
type people struct {
	*httptest.Server

	mu    sync.Mutex
	away  bool
	texts []string
}

func newPeople(t *testing.T) *people {
	t.Helper()
	p := &people{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.away {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		p.texts = append(p.texts, string(body))
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *people) leave(away bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = away
}

func (p *people) told(id string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, text := range p.texts {
		if strings.Contains(text, "/jobs/"+id) {
			n++
		}
	}
	return n
}

// submissions counts the sweeps that the API has for each of our jobs, and how
// many of them are over.
func (b *bundle) submissions() (of map[string]int, ended int) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.local.TradingURL+"/api/v1/jobs/?limit=1000", http.NoBody)
	require.NoError(b.t, err)
	req.Header.Set("X-Api-Key", "dev-key-000000000000000000000000")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(b.t, err)
	defer func() { _ = resp.Body.Close() }()
	var list []struct {
		Status     string         `json:"status"`
		Parameters map[string]any `json:"parameters"`
	}
	require.NoError(b.t, json.NewDecoder(resp.Body).Decode(&list))
	of = map[string]int{}
	for _, j := range list {
		u, err := url.Parse(fmt.Sprint(j.Parameters["webhook_url"]))
		require.NoError(b.t, err)
		of[u.Query().Get("job")]++
		if j.Status == "completed" {
			ended++
		}
	}
	return of, ended
}

// states are those of all jobs, as the job store has them.
func (b *bundle) states() map[string]job.State {
	b.t.Helper()
	var page struct {
		Jobs []job.Job `json:"jobs"`
	}
	if b.get("/api/jobs?limit=500", &page) != http.StatusOK {
		return nil
	}
	out := map[string]job.State{}
	for _, j := range page.Jobs {
		out[j.JobID] = j.Status
	}
	return out
}

func (b *bundle) until(ok func() bool, what string) {
	b.t.Helper()
	require.Eventually(b.t, ok, jobTimeout, 20*time.Millisecond, what)
}

func count(states map[string]job.State, ids []string, s job.State) (n int) {
	for _, id := range ids {
		if states[id] == s {
			n++
		}
	}
	return n
}

// Redis comes back empty while jobs stand everywhere: told, stored and not told,
// ended and not stored, running, in line. All end as they should, with one sweep
// and one message each, and new ones go on beside them.
func TestRedisComesBackEmpty(t *testing.T) {
	for name, c := range map[string]struct {
		lose     string
		database bool // away as well, so that ends are not stored
	}{
		"callbacks come": {"0", false},
		"callbacks are lost and the database was away": {"1", true},
	} {
		t.Run(name, func(t *testing.T) {
			slack := newPeople(t)
			t.Setenv("SLACK_WEBHOOK_URL", slack.URL)
			t.Setenv("TRADING_API_MAX_CONCURRENT", "3")
			t.Setenv("SIMULATOR_MAX_CONCURRENT", "3")
			t.Setenv("SIMULATOR_LOSE_CALLBACKS", c.lose)
			t.Setenv("RECONCILE_INTERVAL", "1s")
			t.Setenv("RECONCILE_GRACE", "5s")
			s := newServers(t)
			b := start(t, runner.Config{RedisURL: s.redis.URL, DatabaseURL: s.postgres.URL, SimulatorDelay: 1500 * time.Millisecond})
			told := []string{b.submit(), b.submit()}
			for _, id := range told {
				b.ended(id)
			}
			slack.leave(true)
			untold := []string{b.submit(), b.submit(), b.submit()}
			b.until(func() bool { return count(b.states(), untold, job.Completed) == 3 }, "stored, and Slack is away")
			var open []string
			for range 12 {
				open = append(open, b.submit())
			}
			b.until(func() bool {
				states := b.states()
				return count(states, open, job.Running) == 3 && count(states, open, job.Queued) == 9
			}, "three run, the others stand in line")
			if c.database {
				s.postgres.Kill()
				_, before := b.submissions()
				b.until(func() bool { _, ended := b.submissions(); return ended > before }, "sweeps end, and nobody writes it down")
			}

			require.NoError(t, s.client().FlushAll(t.Context()).Err())
			if c.database {
				s.startPostgres()
			}
			slack.leave(false)
			fresh := []string{b.submit(), b.submit()}

			all := slices.Concat(told, untold, open, fresh)
			b.until(func() bool { return count(b.states(), all, job.Completed) == len(all) }, "every job ends")
			for _, id := range all {
				b.until(func() bool { return slack.told(id) >= 1 }, "somebody is told of "+id)
			}
			of, _ := b.submissions()
			for _, id := range all {
				require.Equal(t, 1, slack.told(id), "messages of job %s", id)
				require.Equal(t, 1, of[id], "sweeps of job %s", id)
				require.Equal(t, job.Completed, b.ended(id).Status)
			}
		})
	}
}
