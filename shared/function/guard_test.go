package function_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/handover"
	"github.com/zixly/sweepline/shared/seal"
)

// handedWriter takes outcomes as a broker of the same process does.
type handedWriter struct {
	*httptest.ResponseRecorder
	outcomes []handover.Outcome
}

func (w *handedWriter) Answer(o []handover.Outcome) { w.outcomes = o }

// Only what is sealed reaches the function, and its replies are sealed: one event, a
// batch, and events that are handed over.
func TestOnlySealedEventsReachTheFunction(t *testing.T) {
	keys, err := seal.New(seal.Config{Key: "a-key-for-tests-only"})
	require.NoError(t, err)
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })

	reply := func() *cloudevents.Event { e := newEvent("reply"); return &e }
	fn := &batchFunc{}
	single := &eventFunc{handle: func(context.Context, cloudevents.Event) (*cloudevents.Event, error) { return reply(), nil }}
	registry := prometheus.NewRegistry()
	handler := func(fn any) http.Handler {
		h, err := function.Handler("step", fn, registry, function.WithSeals(keys))
		require.NoError(t, err)
		return h
	}
	one, many := handler(single), handler(fn)

	sealed, unsealed, forged := newEvent("sealed"), newEvent("CONTENT-unsealed"), newEvent("CONTENT-forged")
	keys.Seal(&sealed)
	keys.Seal(&forged)
	forged = forged.Clone()
	require.NoError(t, forged.SetData(cloudevents.ApplicationJSON, map[string]string{"id": "CONTENT"}))

	w := do(one, post(sealed))
	require.Equal(t, http.StatusOK, w.Code)
	got, err := cehttp.NewEventFromHTTPResponse(w.Result())
	require.NoError(t, err)
	require.NoError(t, keys.Check(got))
	for _, e := range []cloudevents.Event{unsealed, forged} {
		w := do(one, post(e))
		require.Equal(t, http.StatusForbidden, w.Code, "no status that a broker tries again")
		require.NotContains(t, w.Body.String(), "CONTENT")
	}

	fn.outcomes = map[string]function.Outcome{"sealed": {Reply: reply()}}
	text := func(e cloudevents.Event) string {
		raw, err := json.Marshal(e)
		require.NoError(t, err)
		return string(raw)
	}
	w = postBatch(many, function.OutcomesType, text(unsealed), text(sealed), text(forged))
	require.Equal(t, http.StatusMultiStatus, w.Code)
	var outcomes []outcome
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &outcomes))
	require.Equal(t, []int{403, 200, 403}, []int{outcomes[0].Status, outcomes[1].Status, outcomes[2].Status})
	require.NoError(t, keys.Check(outcomes[1].Event))
	require.Len(t, fn.got, 1)
	require.Equal(t, http.StatusForbidden, postBatch(many, "", text(sealed), text(forged)).Code)

	fn.outcomes = map[string]function.Outcome{"sealed": {Reply: reply()}}
	events := []cloudevents.Event{unsealed, sealed, forged}
	r := httptest.NewRequest(http.MethodPost, "/", http.NoBody)
	r.Body = handover.NewBody(func() []cloudevents.Event { return events }, func() ([]byte, error) { return json.Marshal(events) })
	to := &handedWriter{ResponseRecorder: httptest.NewRecorder()}
	many.ServeHTTP(to, r)
	require.Len(t, to.outcomes, 3)
	require.Equal(t, []int{403, 200, 403}, []int{to.outcomes[0].Status, to.outcomes[1].Status, to.outcomes[2].Status})
	require.NoError(t, keys.Check(to.outcomes[1].Reply))
	require.Len(t, fn.got, 1)

	require.Equal(t, 2, strings.Count(log.String(), "\n"), "one line a minute from each: %s", &log)
	require.NotContains(t, log.String(), "CONTENT")
	metrics, err := io.ReadAll(do(function.Operations(single, registry), httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody)).Result().Body)
	require.NoError(t, err)
	require.Contains(t, string(metrics), `pipeline_events_refused_total{function="step",reason="unsealed"} 3`)
	require.Contains(t, string(metrics), `pipeline_events_refused_total{function="step",reason="forged"} 4`)
}

// Events of strangers may come by the thousand.
func TestStrangersAreToldOfOnce(t *testing.T) {
	keys, err := seal.New(seal.Config{Key: "a-key-for-tests-only"})
	require.NoError(t, err)
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	h, err := function.Handler("step", &batchFunc{}, prometheus.NewRegistry(), function.WithSeals(keys))
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				do(h, post(newEvent("x")))
			}
		})
	}
	wg.Wait()
	require.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
}

// What marks a dead letter is believed of events that come to the path of dead letters,
// and taken off all others: alone, in a batch, and handed over, where the broker keeps
// its own as it is.
func TestOnlyDeadLettersKeepTheirMarks(t *testing.T) {
	t.Parallel()
	keys, err := seal.New(seal.Config{Key: "a-key-for-tests-only"})
	require.NoError(t, err)
	const dest = "knativeerrordest"
	marked := func(id string) cloudevents.Event {
		e := newEvent(id)
		e.SetExtension(dest, "http://submit.test")
		e.SetExtension("knativeerrorcode", 500)
		e.SetExtension("knativeerrorother", "x")
		e.SetExtension("kind", "kept")
		keys.Seal(&e)
		return e
	}
	var dead bool
	var got cloudevents.Event
	fn := &eventFunc{handle: func(ctx context.Context, e cloudevents.Event) (*cloudevents.Event, error) {
		dead, got = function.IsDeadLetter(ctx), e
		return nil, nil
	}}
	many := &batchFunc{}
	one, err := function.Handler("one", fn, prometheus.NewRegistry(), function.WithSeals(keys))
	require.NoError(t, err)
	batch, err := function.Handler("many", many, prometheus.NewRegistry(), function.WithSeals(keys))
	require.NoError(t, err)
	for path, is := range map[string]bool{
		"/": false, "/dead-letter": true, "/dead-letter/": true, "/dead-letter?x": true, "/dead-letters": false, "/dead-letter/x": false, "/?/dead-letter": false,
	} {
		r := post(marked("alone"))
		to, err := url.Parse(path)
		require.NoError(t, err)
		r.URL = to
		require.Equal(t, 200, do(one, r).Code)
		require.Equal(t, is, dead, path)
		want := map[string]any{}
		if is {
			want[dest] = "http://submit.test"
		}
		has := func(e cloudevents.Event) {
			t.Helper()
			require.Equal(t, want[dest], e.Extensions()[dest], path)
			require.Equal(t, is, e.Extensions()["knativeerrorcode"] != nil, path)
			require.Equal(t, is, e.Extensions()["knativeerrorother"] != nil, path)
			require.Equal(t, "kept", e.Extensions()["kind"])
			require.NoError(t, keys.Check(&e))
		}
		has(got)

		events := []cloudevents.Event{marked("first"), marked("second")}
		raw, err := json.Marshal(events)
		require.NoError(t, err)
		r = httptest.NewRequest(http.MethodPost, path, bytes.NewReader(raw))
		r.Header.Set("Content-Type", cloudevents.ApplicationCloudEventsBatchJSON)
		many.got, many.outcomes = nil, nil
		require.Equal(t, 200, do(batch, r).Code)
		require.Len(t, many.got, 2)
		has(many.got[0])

		r = httptest.NewRequest(http.MethodPost, path, http.NoBody)
		r.Body = handover.NewBody(func() []cloudevents.Event { return events }, func() ([]byte, error) { return raw, nil })
		many.got = nil
		batch.ServeHTTP(&handedWriter{ResponseRecorder: httptest.NewRecorder()}, r)
		require.Len(t, many.got, 2)
		has(many.got[1])
		require.NotNil(t, events[1].Extensions()[dest])
	}
}
