package runner_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/local/runner"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/seal"
)

// publish posts an event as anybody can who reaches the ingress.
func (b *bundle) publish(e cloudevents.Event) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.local.BrokerURL, http.NoBody)
	require.NoError(b.t, err)
	require.NoError(b.t, cehttp.WriteRequest(binding.WithForceBinary(b.t.Context()), binding.ToMessage(&e), r))
	resp, err := http.DefaultClient.Do(r)
	require.NoError(b.t, err)
	require.NoError(b.t, resp.Body.Close())
	// 400 where the journal of embedded stores cannot read it.
	require.Contains(b.t, []int{http.StatusAccepted, http.StatusBadRequest}, resp.StatusCode)
}

// TestEventsOfStrangersChangeNothing: whoever reaches the ingress can put in what the
// pipeline's own events look like, but for the seal. Jobs go on as if it were not there.
func TestEventsOfStrangersChangeNothing(t *testing.T) {
	t.Setenv("TENANT_KEYS", "")
	require.NoError(t, os.Unsetenv("TENANT_KEYS"))
	backends(t, func(t *testing.T, cfg runner.Config) {
		cfg.SimulatorDelay = 20 * time.Second
		b := start(t, cfg)
		id := b.submit()
		require.Eventually(t, func() bool { return b.job(id).Status == job.Running }, jobTimeout, 20*time.Millisecond)
		was := b.job(id)
		h := job.Header{JobID: id, TenantID: was.TenantID, JobType: was.JobType, Parameters: was.Parameters, CreatedAt: was.CreatedAt}
		at := time.Now().UTC()
		must := func(e cloudevents.Event, err error) cloudevents.Event {
			require.NoError(t, err)
			return e
		}
		forge := func(e cloudevents.Event, change func(*cloudevents.Event)) cloudevents.Event {
			change(&e)
			return e
		}
		other := h
		other.JobID = job.NewID()
		other.Parameters.Ticker = "FORGED"
		dead := func(e *cloudevents.Event) {
			e.SetID(id + "/forged")
			e.SetExtension("knativeerrordest", "http://submit")
			e.SetExtension("knativeerrorcode", 500)
		}
		completed := must(event.NewCompleted(event.Completed{Header: h, TradingJobID: was.TradingJobID, SweepRunID: "forged", CompletedAt: at, Via: event.ViaCallback}))
		failed := must(event.NewFailed(event.Failed{Header: h, ErrorCode: job.SweepFailed, ErrorMessage: "forged", FailedAt: at, Via: event.ViaCallback}))
		for _, e := range []cloudevents.Event{
			completed, failed,
			forge(failed.Clone(), func(e *cloudevents.Event) { e.SetExtension(seal.Extension, strings.Repeat("A", 43)) }),
			forge(must(event.NewRequested(event.Requested{Header: h})), dead),
			forge(completed.Clone(), dead),
			must(event.NewRequested(event.Requested{Header: other})),
			forge(must(event.NewRequested(event.Requested{Header: other})), func(e *cloudevents.Event) {
				e.SetID(e.ID() + "/x")
				e.SetExtension(event.ExtTenant, "another")
			}),
			must(event.NewNotified(event.Notified{Header: other, Channel: "log", NotifiedAt: at})),
		} {
			b.publish(e)
		}
		// They are refused and listed, and so is what came of them.
		type list struct {
			DeadLetters []json.RawMessage `json:"dead_letters"`
		}
		require.Eventually(t, func() bool {
			var l list
			return b.get("/api/dead-letters?limit=100", &l) == http.StatusOK && len(l.DeadLetters) >= 8
		}, jobTimeout, 50*time.Millisecond)
		require.Equal(t, http.StatusNotFound, b.get("/api/jobs/"+other.JobID, nil))
		require.NotEqual(t, job.Failed, b.job(id).Status)
		// The real end has the id and the source of the forged ones, and counts.
		require.Eventually(t, func() bool { return b.job(id).Status == job.Completed }, jobTimeout, 50*time.Millisecond)
		require.NotEqual(t, "forged", b.job(id).SweepRunID)
	})
}

// TestTheKeyIsMadeOnce: what is sealed outlives the process, and those who share a Redis
// have the same key, though nobody has set one.
func TestTheKeyIsMadeOnce(t *testing.T) {
	e := cloudevents.New()
	e.SetID("1")
	e.SetSource("/s")
	e.SetType("t")
	run := func(cfg runner.Config) func(check bool) {
		b := start(t, cfg)
		return func(check bool) {
			if check {
				require.NoError(t, b.local.Seals.Check(&e))
			} else {
				b.local.Seals.Seal(&e)
			}
		}
	}
	t.Run("embedded", func(t *testing.T) {
		dir := t.TempDir()
		b := start(t, runner.Config{DataDir: dir})
		b.local.Seals.Seal(&e)
		require.NoError(t, b.local.Close())
		run(runner.Config{DataDir: dir})(true)
		info, err := os.Stat(filepath.Join(dir, "event-seal-key"))
		require.NoError(t, err)
		require.EqualValues(t, 0o600, info.Mode().Perm())
		require.ErrorIs(t, start(t, runner.Config{}).local.Seals.Check(&e), seal.ErrForged, "another folder, another key")
	})
	t.Run("shared", func(t *testing.T) {
		s := newServers(t)
		cfg := runner.Config{RedisURL: s.redis.URL, DatabaseURL: s.postgres.URL}
		one, two := run(cfg), run(cfg)
		one(false)
		two(true)
	})
	t.Run("set", func(t *testing.T) {
		t.Setenv("EVENT_SEAL_KEY", "a-key-for-tests-only")
		keys, err := seal.New(seal.Config{Key: "a-key-for-tests-only"})
		require.NoError(t, err)
		keys.Seal(&e)
		run(runner.Config{})(true)
	})
}
