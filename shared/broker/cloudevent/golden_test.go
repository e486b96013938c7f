package cloudevent

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
)

// goldens are events as version 1 of the encoding stores them. They must be readable
// for ever: a process of the next version meets them in the queues of this one.
var goldens = map[string]struct {
	stored string
	event  *Message
}{
	"all kinds": {
		"0102ff01" + "0130" + "00" + "03" + "026964" + "00" + "0131" + "0178" + "03" + "0237" + "35" + "0179" + "01" + "0325" + "3431" + "7b7d",
		&Message{
			attrs: []attribute{{"id", kindText, "1"}, {"x", kindInt, "75"}, {"y", kindWire, "%41"}},
			Data:  "{}", jsonData: true, TTL: 255, Traceparent: "0",
		},
	},
	"base64": {
		"010107" + "00" + "00" + "01" + "0162" + "02" + "0474727565" + "00ff",
		&Message{attrs: []attribute{{"b", kindBool, "true"}}, Data: "\x00\xff", base64: true, TTL: 7},
	},
	"CloudEvents 0.3": {
		"020107" + "00" + "00" + "01" + "026964" + "00" + "0131" + "00ff",
		&Message{attrs: []attribute{{"id", kindText, "1"}}, Data: "\x00\xff", base64: true, v03: true, TTL: 7},
	},
}

func TestGoldenEncodings(t *testing.T) {
	t.Parallel()
	for name, g := range goldens {
		stored, err := hex.DecodeString(g.stored)
		require.NoError(t, err, name)
		m, err := Decode(string(stored))
		require.NoError(t, err, name)
		require.Equal(t, g.event, m, name)
		require.Equal(t, stored, m.Encode(), name)
	}
	_, err := Decode("\x03\x00\x00")
	require.ErrorIs(t, err, ErrNewer)
	_, err = Decode("\x00\x00\x00")
	require.ErrorIs(t, err, ErrCorrupt)
}
