package status_test

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/broker"
)

func letter(id, owner string, died time.Time) broker.DeadLetter {
	e := cloudevents.New()
	e.SetID(id)
	e.SetSource("/x")
	e.SetType("t")
	e.SetExtension("tenantid", owner)
	return broker.DeadLetter{ID: id, Reason: "422", Died: died, Event: e, Position: fmt.Sprintf("%012x.%016x", died.UnixMilli(), id)}
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	w, _, h := setup(t, "acme:one,globex:two")
	for i := range 6 {
		w.letters = append(w.letters, letter(string(rune('a'+i)), []string{"acme", "globex"}[i%2], created.Add(-time.Duration(i)*time.Minute)))
	}
	list := func(query string) (ids []string, next string) {
		body := decode[struct {
			Letters []struct {
				ID      string `json:"id"`
				EventID string `json:"event_id"`
			} `json:"dead_letters"`
			Next string `json:"next_cursor"`
		}](t, call(h, "GET", "/api/dead-letters?"+query, "X-API-Key", "one"))
		for _, l := range body.Letters {
			require.Equal(t, l.ID, l.EventID, "its event is named")
			ids = append(ids, l.ID)
		}
		return ids, body.Next
	}
	ids, next := list("limit=2")
	require.Equal(t, []string{"a", "c"}, ids)
	ids, _ = list("limit=2&cursor=" + url.QueryEscape(next))
	require.Equal(t, []string{"e"}, ids)
	ids, next = list("")
	require.Equal(t, []string{"a", "c", "e"}, ids)
	require.Empty(t, next)
	require.Equal(t, 400, call(h, "GET", "/api/dead-letters?limit=x", "X-API-Key", "one").Code)
	require.Equal(t, 400, call(h, "GET", "/api/dead-letters?cursor=x", "X-API-Key", "one").Code)

	require.Equal(t, 202, call(h, "POST", "/api/dead-letters/a/redrive", "X-API-Key", "one").Code)
	require.Equal(t, 200, call(h, "DELETE", "/api/dead-letters/c", "X-API-Key", "one").Code)
	require.Equal(t, 404, call(h, "POST", "/api/dead-letters/b/redrive", "X-API-Key", "one").Code, "another's")
	require.Equal(t, 404, call(h, "DELETE", "/api/dead-letters/zz", "X-API-Key", "one").Code)
	require.Equal(t, []string{"redrive a", "discard c"}, w.acts)
	w.broken["redis"] = true
	require.Equal(t, 503, call(h, "GET", "/api/dead-letters", "X-API-Key", "one").Code)
}
