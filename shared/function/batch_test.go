package function_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/sink"
)

// wrongCount returns fewer outcomes than there are events.
type wrongCount struct{ batchFunc }

func (f *wrongCount) HandleBatch(_ context.Context, _ []cloudevents.Event) []function.Outcome {
	return []function.Outcome{{}}
}

func member(t *testing.T, id string) string {
	t.Helper()
	raw, err := json.Marshal(newEvent(id))
	require.NoError(t, err)
	return string(raw)
}

func postBatch(h http.Handler, accept string, members ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("["+strings.Join(members, ",")+"]"))
	r.Header.Set("Content-Type", "application/cloudevents-batch+json; charset=UTF-8")
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	return do(h, r)
}

type outcome struct {
	Status     int                `json:"status"`
	Event      *cloudevents.Event `json:"event"`
	RetryAfter int                `json:"retry_after"`
	Error      string             `json:"error"`
}

func TestBatchOutcomes(t *testing.T) {
	t.Parallel()
	reply, broken := newEvent("a/reply"), cloudevents.New()
	fn := &batchFunc{outcomes: map[string]function.Outcome{
		"taken":    {},
		"answered": {Reply: &reply},
		"refused":  {Err: cehttp.NewResult(http.StatusUnprocessableEntity, "no such job")},
		"later":    {Err: fmt.Errorf("write: %w", &sink.Unavailable{RetryAfter: 4200 * time.Millisecond, Err: errors.New("database is away")})},
		"failed":   {Err: errors.New("unexpected")},
		"unsound":  {Reply: &broken},
	}}
	w := postBatch(handler(t, fn), "application/json;q=0.1, "+function.OutcomesType,
		member(t, "taken"), member(t, "answered"), `{"specversion":"1.0","id":"x"}`, member(t, "refused"), `7`, member(t, "later"), member(t, "failed"), member(t, "unsound"))
	require.Equal(t, http.StatusMultiStatus, w.Code, w.Body)
	require.Equal(t, function.OutcomesType, w.Header().Get("Content-Type"))
	require.Len(t, fn.got, 6, "members that are not events are not given to the function")
	var got []outcome
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
	require.Len(t, got, 8)
	require.Equal(t, outcome{Status: 200}, got[0])
	require.Equal(t, 200, got[1].Status)
	require.Equal(t, "a/reply", got[1].Event.ID())
	require.Equal(t, reply.Data(), got[1].Event.Data())
	require.Equal(t, 400, got[2].Status)
	require.NotEmpty(t, got[2].Error)
	require.Equal(t, 422, got[3].Status)
	require.Contains(t, got[3].Error, "no such job", "the reason goes to the dead letter")
	require.Equal(t, 400, got[4].Status)
	require.Equal(t, outcome{Status: 503, RetryAfter: 5, Error: "write: database is away"}, got[5])
	require.Equal(t, outcome{Status: 500, Error: "unexpected"}, got[6])
	require.Equal(t, 500, got[7].Status)
	require.Nil(t, got[7].Event)
}

func TestBatchOutcomesOfNothing(t *testing.T) {
	t.Parallel()
	fn := &batchFunc{}
	w := postBatch(handler(t, fn), function.OutcomesType)
	require.Equal(t, http.StatusMultiStatus, w.Code)
	require.JSONEq(t, "[]", w.Body.String())
	w = postBatch(handler(t, fn), function.OutcomesType, "{}")
	require.Equal(t, http.StatusMultiStatus, w.Code)
	require.Nil(t, fn.got, "a batch without an event reaches no function")
	require.Equal(t, http.StatusBadRequest, postBatch(handler(t, fn), function.OutcomesType, "{").Code)
	w = postBatch(handler(t, &wrongCount{}), function.OutcomesType, member(t, "a"), member(t, "b"))
	require.Equal(t, http.StatusMultiStatus, w.Code)
	require.Equal(t, 2, strings.Count(w.Body.String(), `"status":500`), "no event is taken for another's outcome")
}

// TestBatchTogether: a sender that reads no outcomes gets one answer for all.
func TestBatchTogether(t *testing.T) {
	t.Parallel()
	first, second := newEvent("a/reply"), newEvent("b/reply")
	h := handler(t, &batchFunc{outcomes: map[string]function.Outcome{
		"a": {Reply: &first}, "b": {Reply: &second},
		"refused": {Err: cehttp.NewResult(http.StatusUnprocessableEntity, "no such job")},
		"later":   {Err: &sink.Unavailable{RetryAfter: 2 * time.Second, Err: errors.New("away")}},
	}})
	w := postBatch(h, "", member(t, "a"), member(t, "plain"), member(t, "b"))
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	replies, err := cehttp.NewEventsFromHTTPResponse(w.Result())
	require.NoError(t, err)
	require.Equal(t, []string{"a/reply", "b/reply"}, []string{replies[0].ID(), replies[1].ID()})

	w = postBatch(h, "", member(t, "plain"))
	require.Equal(t, http.StatusOK, w.Code)
	require.Empty(t, w.Body.String())
	require.Equal(t, http.StatusUnprocessableEntity, postBatch(h, "*/*", member(t, "a"), member(t, "refused")).Code)
	w = postBatch(h, "", member(t, "refused"), member(t, "later"), member(t, "a"))
	require.Equal(t, http.StatusServiceUnavailable, w.Code, "what can be repeated comes first")
	require.Equal(t, "2", w.Header().Get("Retry-After"))
	require.Equal(t, http.StatusBadRequest, postBatch(h, "", member(t, "a"), "{}").Code)
}

func newEvent(id string) cloudevents.Event {
	e := cloudevents.New()
	e.SetID(id)
	e.SetSource("/test")
	e.SetType("com.example.thing")
	e.SetExtension("tenantid", "acme")
	if err := e.SetData(cloudevents.ApplicationJSON, map[string]string{"id": id}); err != nil {
		panic(err)
	}
	return e
}
