package rfc3339_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/rfc3339"
)

// RFC 3339, 5.6 and 5.8.
func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"1985-04-12T23:20:50.52Z":             "1985-04-12T23:20:50.52Z",
		"1996-12-19T16:39:57-08:00":           "1996-12-20T00:39:57Z",
		"1990-12-31T23:59:60Z":                "1990-12-31T23:59:59Z",
		"1990-12-31T15:59:60-08:00":           "1990-12-31T23:59:59Z",
		"1937-01-01T12:00:27.87+00:20":        "1937-01-01T11:40:27.87Z",
		"2018-04-05t17:31:00z":                "2018-04-05T17:31:00Z",
		"2018-04-05T17:31:00.123456789+23:59": "2018-04-04T17:32:00.123456789Z",
	} {
		got, err := rfc3339.Parse(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got.UTC().Format(time.RFC3339Nano))
	}
	for _, text := range []string{
		"", "lunchtime", "2018-04-05", "2018-04-05T17:31", "2018-04-05T17:31Z", "2018-04-05T17:31:00", "2018-04-05T17:31:61Z", "2018-04-05T17:60:00Z",
		"2018-04-05T24:00:00Z", "2018-13-05T17:31:00Z", "2018-02-30T17:31:00Z", "2018-04-05T17:31:00,5Z", "2018-04-05T17:31:00+24:00",
		"2018-04-05 17:31:00Z", "2018-04-05T17:31:00Zx", "2018-04-05T17:31:00." + strings.Repeat("1", 100) + "Z",
	} {
		_, err := rfc3339.Parse(text)
		require.ErrorIs(t, err, rfc3339.ErrForm, text)
	}
}

func TestMilli(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 31, 13, 0, 0, 123999999, time.FixedZone("", 3600))
	for want, v := range map[string]any{
		`"2026-01-31T12:00:00.123Z"`: rfc3339.Milli(at), `"2026-01-31T12:00:00.000Z"`: rfc3339.Milli(at.Truncate(time.Second)),
		`{"at":"2026-01-31T12:00:00.123Z"}`: struct {
			At *rfc3339.Milli `json:"at,omitempty"`
		}{rfc3339.MilliOf(&at)},
		`{}`: struct {
			At *rfc3339.Milli `json:"at,omitempty"`
		}{rfc3339.MilliOf(nil)},
	} {
		got, err := json.Marshal(v)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	_, err := json.Marshal(rfc3339.Milli(time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC)))
	require.ErrorIs(t, err, rfc3339.ErrForm)
}
