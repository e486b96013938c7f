package receive_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions/receive"
	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/auth/authtest"
	"github.com/zixly/sweepline/shared/enqueue"
)

// A run of a schedule is one job, however often and by whomever it is sent.
func TestRunsOfASchedule(t *testing.T) {
	t.Parallel()
	d, h := setup(t, "")
	ping := func(id, at string) *http.Request {
		return request(valid, "ce-specversion", "1.0", "ce-id", id, "ce-source", "/apis/v1/namespaces/sweepline/pingsources/weekly",
			"ce-type", "dev.knative.sources.ping", "ce-time", at)
	}
	for _, r := range []*http.Request{
		ping("a", "2026-01-05T06:00:00.1Z"), ping("b", "2026-01-05T07:00:41+01:00"), ping("c", "2026-01-05T06:01:00Z"),
	} {
		require.Equal(t, http.StatusAccepted, do(h, r).Code)
	}
	require.Equal(t, d.asked[0].Key, d.asked[1].Key, "the same minute, whatever its id")
	require.NotEqual(t, d.asked[0].Key, d.asked[2].Key)
	require.Equal(t, enqueue.PingKey("/apis/v1/namespaces/sweepline/pingsources/weekly", time.Date(2026, 1, 5, 6, 0, 0, 0, time.UTC)), d.asked[0].Key)
}

func TestTokensOfSchedules(t *testing.T) {
	t.Parallel()
	const source, secret = "/apis/v1/namespaces/sweepline/pingsources/weekly", "a secret of schedules"
	k, err := auth.New(auth.Config{Keys: authtest.Hashed("acme:one,globex:two")})
	require.NoError(t, err)
	d := &desk{}
	f, err := receive.New(receive.Config{BaseURL: "https://hooks.example", ScheduleSecret: secret}, d, k, nil)
	require.NoError(t, err)
	h := documented(t, http.HandlerFunc(f.Handle))
	schedules, err := auth.NewSchedules(secret)
	require.NoError(t, err)
	token, err := schedules.Token("acme", source)
	require.NoError(t, err)
	gone, err := schedules.Token("gone", source)
	require.NoError(t, err)
	now := time.Now()
	ping := func(token, source, typ string, at time.Time, more ...string) *http.Request {
		return request(valid, append([]string{"ce-specversion", "1.0", "ce-id", "7", "ce-source", source, "ce-type", typ,
			"ce-time", at.Format(time.RFC3339Nano), "ce-scheduletoken", token}, more...)...)
	}
	const pinged = "dev.knative.sources.ping"
	w := do(h, ping(token, source, pinged, now, "Idempotency-Key", "another", "webhook-id", "one more"))
	require.Equal(t, http.StatusAccepted, w.Code, w.Body)
	require.Equal(t, "acme", d.asked[0].Tenant)
	require.Equal(t, enqueue.PingKey(source, now), d.asked[0].Key, "who has the token makes one job a minute")
	for name, r := range map[string]*http.Request{
		"another source":      ping(token, source+"2", pinged, now),
		"another type":        ping(token, source, "any.thing", now),
		"another tenant":      ping("globex"+strings.TrimPrefix(token, "acme"), source, pinged, now),
		"a tenant that went":  ping(gone, source, pinged, now),
		"cut":                 ping(token[:len(token)-2], source, pinged, now),
		"no token":            ping("acme:", source, pinged, now),
		"an old run":          ping(token, source, pinged, now.Add(-time.Hour)),
		"a run to come":       ping(token, source, pinged, now.Add(time.Hour)),
		"structured, with it": request(event(valid), "Content-Type", "application/cloudevents+json", "ce-scheduletoken", token),
	} {
		require.Equal(t, http.StatusUnauthorized, do(h, r).Code, name)
	}
	require.Len(t, d.asked, 1)
	w = do(h, ping(token, source, pinged, now, "Content-Type", "application/cloudevents+json"))
	require.Equal(t, http.StatusBadRequest, w.Code, "headers alone are no event")
	// The headers are a run's, the event of the body is another: of its own source, type and id.
	r := request(event(valid), "Content-Type", "application/cloudevents+json", "ce-source", source, "ce-type", pinged,
		"ce-time", now.Format(time.RFC3339Nano), "ce-scheduletoken", token)
	require.Equal(t, http.StatusAccepted, do(h, r).Code)
	require.Equal(t, enqueue.PingKey(source, now), d.asked[1].Key, "an event in the body makes no run of its own")
	f, err = receive.New(receive.Config{BaseURL: "https://hooks.example"}, d, k, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, do(http.HandlerFunc(f.Handle), ping(token, source, pinged, now)).Code, "no secret, no tokens")
	_, err = receive.New(receive.Config{BaseURL: "https://x", ScheduleSecret: "short"}, d, k, nil)
	require.ErrorContains(t, err, "SCHEDULE_SECRET")
}
