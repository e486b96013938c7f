package cloudevent

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/broker/filter"
)

// One event in both modes has the same attributes, whatever JSON's types were.
func TestAttributesAreTheSameInBothModes(t *testing.T) {
	t.Parallel()
	structured, err := ParseHTTP(http.Header{"Content-Type": {MediaStructured}}, []byte(`{"specversion":"1.0","id":"1","source":"/s",
		"type":"t","seq":5,"zero":-0,"paid":true,"time":"2026-01-02T03:04:05.100+00:00","data":{}}`), false)
	require.NoError(t, err)
	binary, err := ParseHTTP(http.Header{
		"Ce-Specversion": {"1.0"}, "Ce-Id": {"1"}, "Ce-Source": {"/s"}, "Ce-Type": {"t"}, "Ce-Seq": {"5"}, "Ce-Zero": {"0"},
		"Ce-Paid": {"true"}, "Ce-Time": {"2026-01-02T03:04:05.1Z"}, "Ce-Name": {"a%20b"},
	}, nil, false)
	require.NoError(t, err)
	for name, want := range map[string]string{
		"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "seq": "5", "zero": "0", "paid": "true", "time": "2026-01-02T03:04:05.1Z",
	} {
		for _, m := range []*Message{structured[0], binary[0]} {
			got, ok := m.Attribute(name)
			require.True(t, ok, name)
			require.Equal(t, want, got, name)
		}
	}
	for _, text := range []string{`{"seq":"5","paid":"true"}`, `[{"exact":{"seq":"5","zero":"0"}}]`, `[{"cesql":"seq = 5 AND paid = TRUE"}]`} {
		f, err := filter.Parse(text)
		require.NoError(t, err)
		require.True(t, f.Match(structured[0]), text)
		require.True(t, f.Match(binary[0]), text)
	}
	got, ok := binary[0].Attribute("name")
	require.True(t, ok)
	require.Equal(t, "a b", got)
	_, ok = binary[0].Attribute("subject")
	require.False(t, ok)
}

func TestCanonicalTime(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"2026-01-02T03:04:05Z":              "2026-01-02T03:04:05Z",
		"2026-01-02T03:04:05.678Z":          "2026-01-02T03:04:05.678Z",
		"2026-01-02T03:04:05.600Z":          "2026-01-02T03:04:05.6Z",
		"2026-01-02T03:04:05.000Z":          "2026-01-02T03:04:05Z",
		"2026-01-02T03:04:05+01:00":         "2026-01-02T03:04:05+01:00",
		"2026-01-02T03:04:05.60+01:00":      "2026-01-02T03:04:05.6+01:00",
		"2026-01-02T03:04:05-00:00":         "2026-01-02T03:04:05Z",
		"2026-01-02T03:04:05.123456789123Z": "2026-01-02T03:04:05.123456789Z",
		"":                                  "",
	} {
		require.Equal(t, want, canonicalTime(in), in)
	}
}
