package runner

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/enqueue"
	"github.com/zixly/sweepline/shared/job"
)

const weekly = `apiVersion: sources.knative.dev/v1
kind: PingSource
metadata:
  name: weekly
  annotations: {sweepline.dev/tenant: acme}
spec:
  schedule: "0 6 * * 1-5"
  timezone: Europe/Berlin
  contentType: application/json
  data: '{"tickers":["DAX","SMI"],"fast_range":[5,50],"slow_range":[20,200],"step":5,"labels":["weekly"]}'
  sink:
    ref: {apiVersion: serving.knative.dev/v1, kind: Service, name: receive}
    uri: /webhook/trading-sweep
  ceOverrides: {extensions: {scheduletoken: "acme:x"}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: other}
`

func folder(t *testing.T, texts ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i, text := range texts {
		require.NoError(t, os.WriteFile(filepath.Join(dir, string(rune('a'+i))+".yaml"), []byte(text), 0o600))
	}
	return dir
}

func acme(tenant string) bool { return tenant == "acme" }

func TestSchedulesAreReadFromTheClustersManifests(t *testing.T) {
	t.Parallel()
	all, err := readSchedules(folder(t, weekly), acme)
	require.NoError(t, err)
	require.Len(t, all, 1)
	s := all[0]
	require.Equal(t, "sweepline/weekly", s.name)
	require.Equal(t, "/apis/v1/namespaces/sweepline/pingsources/weekly", s.source)
	require.Equal(t, []string{"DAX", "SMI"}, s.asked.Tickers)
	friday := time.Date(2026, 3, 27, 12, 0, 0, 0, time.UTC)
	require.Equal(t, time.Date(2026, 3, 30, 4, 0, 0, 0, time.UTC), s.runs.Next(friday).UTC(), "summer time began on Sunday")

	_, err = readSchedules(folder(t, `{apiVersion: sources.knative.dev/v1, kind: PingSource, metadata: {name: a},
  spec: {schedule: "0 0 6 * * 1", timezone: Europe/Nowhere, data: '{"ticker":"x","step":0}', colour: red}}`, weekly, weekly), acme)
	require.ErrorContains(t, err, "spec.colour: unknown field")
	_, err = readSchedules(folder(t, `{apiVersion: sources.knative.dev/v1, kind: PingSource, metadata: {name: a},
  spec: {schedule: "0 0 6 * * 1", data: '{"ticker":"x","step":0}'}}`, weekly, weekly), acme)
	for _, want := range []string{
		"a.yaml: PingSource sweepline/a", "spec.schedule", "spec.contentType", "ticker: must be 3 to 20", "step: must be 1 to 50", "sweepline.dev/tenant must name",
		"c.yaml: PingSource sweepline/weekly: stands twice",
	} {
		require.ErrorContains(t, err, want)
	}
	_, err = readSchedules(filepath.Join(t.TempDir(), "none"), acme)
	require.Error(t, err)
}

// taken collects what schedules ask for.
type taken struct {
	mu   sync.Mutex
	keys []string
	err  error
}

func (k *taken) take(_ context.Context, tenant, key string, r job.Request) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys = append(k.keys, tenant+" "+key)
	return k.err
}

func (k *taken) fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err = err
}

func (k *taken) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.keys)
}

func TestRunsOfASchedule(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	manifests := folder(t, weekly)
	synctest.Test(t, func(t *testing.T) {
		k := &taken{}
		log := slog.New(slog.DiscardHandler)
		begin := func() *schedules {
			all, err := readSchedules(manifests, acme)
			require.NoError(t, err)
			s, err := newSchedules(all, dir, log, time.Now, k.take)
			require.NoError(t, err)
			return s
		}
		stopped := func(s *schedules, d time.Duration) {
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { s.run(ctx); close(done) }()
			time.Sleep(d)
			stop()
			<-done
		}
		// The bubble begins on Saturday, 2000-01-01 00:00 UTC.
		s := begin()
		require.Empty(t, s.missed(), "a schedule that is new has missed nothing")
		stopped(s, 4*24*time.Hour) // until Wednesday, 00:00: Monday and Tuesday
		source := "/apis/v1/namespaces/sweepline/pingsources/weekly"
		monday := time.Date(2000, 1, 3, 5, 0, 0, 0, time.UTC)
		require.Equal(t, []string{"acme " + enqueue.PingKey(source, monday), "acme " + enqueue.PingKey(source, monday.Add(24*time.Hour))}, k.keys)

		// Down from Wednesday to Friday noon: three were missed, and are told, not made up for.
		time.Sleep(60 * time.Hour)
		s = begin()
		require.Equal(t, []string{"sweepline/weekly missed 3, the last at 2000-01-07 06:00:00 CET"}, s.missed())
		stopped(s, time.Hour)
		require.Equal(t, 2, k.count())
		s = begin()
		require.Empty(t, s.missed(), "they are told once")

		// A start within lateness of a run begins it; the next start does not do so again.
		next := time.Date(2000, 1, 10, 5, 2, 0, 0, time.UTC)
		time.Sleep(time.Until(next))
		s = begin()
		require.Empty(t, s.missed())
		stopped(s, time.Second)
		require.Equal(t, 3, k.count())
		s = begin()
		stopped(s, time.Minute)
		require.Equal(t, 3, k.count())

		// What cannot be taken in now is tried again under the same key.
		time.Sleep(time.Until(time.Date(2000, 1, 11, 4, 59, 0, 0, time.UTC)))
		k.fail(errors.New("redis is away"))
		s = begin()
		go func() { time.Sleep(2 * time.Minute); k.fail(nil) }()
		stopped(s, 6*time.Minute)
		require.Greater(t, k.count(), 5)
		for _, key := range k.keys[4:] {
			require.Equal(t, k.keys[3], key)
		}
		many := k.count()

		// A key that stands for another sweep is not tried again.
		k.fail(enqueue.ErrConflict)
		time.Sleep(time.Until(time.Date(2000, 1, 12, 4, 59, 0, 0, time.UTC)))
		s = begin()
		stopped(s, time.Hour)
		require.Equal(t, many+1, k.count())
	})
}
