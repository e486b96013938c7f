package broker

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What can never be posted to is a subscriber like any other that refuses for good: one
// attempt, then the dead letter sink or the list. Others are not held up by it.
func exerciseUnreachable(t *testing.T, b *bundle) {
	sink, good := subscribe(t, nil), subscribe(t, nil)
	bad := func(name string, change func(*Trigger)) Trigger {
		tr := b.trigger(name, good)
		tr.Subscriber = "bad://uri"
		tr.Delivery = Delivery{Retry: 5, BackoffDelay: time.Hour}
		change(&tr)
		return tr
	}
	n := b.start(
		bad("sink", func(tr *Trigger) { tr.Delivery.DeadLetterSink = sink.URL }),
		bad("list", func(tr *Trigger) { tr.Subscriber = "ftp://user:secret@files.example.com/in" }),
		bad("batch", func(tr *Trigger) { tr.BatchSize = 10 }),
		bad("patient", func(tr *Trigger) { tr.Absence = time.Hour }),
		b.trigger("good", good),
	)
	n.publish(http.StatusAccepted, "1")
	n.publish(http.StatusAccepted, "2")
	got := map[string]bool{}
	for range 2 {
		d := sink.next(t)
		got[d.id()] = true
		require.JSONEq(t, `{"n":1}`, string(d.body))
		require.Equal(t, "bad://uri", d.header.Get("Ce-Knativeerrordest"))
		require.Equal(t, "500", d.header.Get("Ce-Knativeerrorcode"))
		said, err := base64.StdEncoding.DecodeString(d.header.Get("Ce-Knativeerrordata"))
		require.NoError(t, err)
		require.Equal(t, `dispatch error: unsupported protocol scheme "bad"`, string(said))
		require.Equal(t, b.broker.Namespace, d.header.Get("Kn-Namespace"))
		good.next(t)
	}
	require.Equal(t, map[string]bool{"1": true, "2": true}, got)
	for _, name := range []string{"sink", "list", "batch", "patient", "good"} {
		b.settled(name)
	}
	letters := map[string]int{}
	for _, l := range b.deadLetters() {
		letters[l.Trigger]++
		require.Equal(t, 1, l.Attempts, "of what can never work there is one")
		require.Equal(t, l.Trigger == "sink", l.Taken)
		require.NotContains(t, l.Subscriber, "secret")
	}
	require.Equal(t, map[string]int{"sink": 2, "list": 2, "batch": 2, "patient": 2}, letters)
	sink.none(t)
	good.none(t)
}

// Every delivery, to subscribers and sinks, says whose it is and when its event arrived:
// what another broker said of that is not passed on.
func exerciseWhatIsAdded(t *testing.T, b *bundle) {
	sink := subscribe(t, nil)
	binary, inJSON, batched := subscribe(t, status(http.StatusBadRequest)), subscribe(t, nil), subscribe(t, nil)
	failing, formatted, batch := b.trigger("binary", binary), b.trigger("json", inJSON), b.trigger("batch", batched)
	failing.Delivery.DeadLetterSink = sink.URL
	formatted.Delivery.Format, batch.BatchSize = FormatJSON, 2
	n := b.start(failing, formatted, batch)
	now, err := b.rdb.Time(t.Context()).Result()
	require.NoError(t, err)
	n.publish(http.StatusAccepted, "1", "Ce-Knativearrivaltime", "2001-01-01T00:00:00Z")
	said := map[string]bool{}
	for name, d := range map[string]delivery{
		"binary": binary.next(t), "sink": sink.next(t), "json": inJSON.next(t), "batch": batched.next(t),
	} {
		require.Equal(t, b.broker.Namespace, d.header.Get("Kn-Namespace"), name)
		text := d.header.Get("Ce-Knativearrivaltime")
		if text == "" {
			var e map[string]any
			require.NoError(t, json.Unmarshal([]byte(strings.Trim(string(d.body), "[]")), &e), name)
			text, _ = e["knativearrivaltime"].(string)
		}
		at, err := time.Parse(time.RFC3339Nano, text)
		require.NoError(t, err, name)
		require.WithinRange(t, at, now.Truncate(time.Millisecond), now.Add(patience), name)
		said[text] = true
	}
	require.Len(t, said, 1, "all are told the same")
}

// A Trigger that is held keeps what comes and delivers nothing, until it no longer is.
func exerciseHold(t *testing.T, b *bundle) {
	s, other := subscribe(t, nil), subscribe(t, nil)
	free, beside := b.trigger("t", s), b.trigger("other", other)
	held := free
	held.Hold = true
	n := b.start(held, beside)
	for _, id := range ids(20) {
		n.publish(http.StatusAccepted, id)
		other.next(t)
	}
	b.settled("other")
	s.none(t)
	require.EqualValues(t, 20, b.info("t").Lag)
	n.apply(free, beside)
	for range 20 {
		s.next(t)
	}
	b.settled("t")
	n.apply(held, beside)
	n.publish(http.StatusAccepted, "later")
	other.next(t)
	b.settled("other")
	s.none(t)
	n.apply(free, beside)
	require.Equal(t, "later", s.next(t).id())
	b.settled("t")
}
