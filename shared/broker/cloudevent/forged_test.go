package cloudevent

import (
	"net/http"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"
)

// Nobody but the broker says how a delivery ended, in no mode of an event.
func TestErrorAttributesAreTakenOff(t *testing.T) {
	t.Parallel()
	e := event.New()
	e.SetID("1")
	e.SetSource("/s")
	e.SetType("t")
	names := []string{"knativeerrordest", "knativeerrorcode", "knativeerrordata", "knativeerrorx"}
	binary := http.Header{"Ce-Specversion": {"1.0"}, "Ce-Id": {"1"}, "Ce-Source": {"/s"}, "Ce-Type": {"t"}, "Ce-Knativeerror": {"x"}, "Ce-Kept": {"x"}}
	for _, n := range names {
		e.SetExtension(n, "x")
		binary.Set("Ce-"+n, "x")
	}
	e.SetExtension("kept", "x")
	text := `{"specversion":"1.0","id":"1","source":"/s","type":"t","kept":"x","knativeerrordest":"x","knativeerrorcode":500,"knativeerrordata":"x","knativeerrorx":true}`
	var all []*Message
	for _, read := range []func() ([]*Message, error){
		func() ([]*Message, error) { return ParseHTTP(binary, nil, false) },
		func() ([]*Message, error) {
			return ParseHTTP(http.Header{"Content-Type": {MediaStructured}}, []byte(text), false)
		},
		func() ([]*Message, error) {
			return ParseHTTP(http.Header{"Content-Type": {MediaBatch}}, []byte("["+text+"]"), true)
		},
		func() ([]*Message, error) { return FromEvents(nil, []event.Event{e}) },
	} {
		m, err := read()
		require.NoError(t, err)
		all = append(all, m...)
	}
	for _, m := range all {
		require.True(t, m.Has("kept"))
		for _, n := range append(names, "knativeerror") {
			require.False(t, m.Has(n), n)
		}
	}
}

// Who guesses an id must not keep the real event out as its repeat.
func TestAForgedEventIsNoRepeat(t *testing.T) {
	t.Parallel()
	of := func(seal string) string {
		m := &Message{}
		m.SetText("source", "/s")
		m.SetText("id", "1")
		if seal != "" {
			m.SetText(SealAttribute, seal)
		}
		return m.Digest()
	}
	first := of("a")
	require.Equal(t, first, of("a"))
	require.NotEqual(t, of("a"), of("b"))
	require.NotEqual(t, of("a"), of(""))
}
