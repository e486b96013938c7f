package transport

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		"http://localhost:8080": true, "HTTPS://user:pw@example.com/a?b#c": true, "http://[::1]:80": true,
		"": false, "localhost:8080": false, "/path": false, "ftp://host": false, "http:///path": false,
		"http:opaque": false, "http://a b": false, "http://host:port": false,
	} {
		u, err := ParseURL(text)
		if ok {
			require.NoError(t, err, text)
			require.NotEmpty(t, u.Host, text)
			continue
		}
		require.EqualError(t, err, "must be an absolute http or https URL", text)
	}
}

func TestParseBase(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		"http://localhost:8080": true, "https://user:pw@example.com/a/": true, "http://x/%3F%23": true,
		"http://x/?a=b": false, "http://x?": false, "http://x#": false, "http://x/a#b": false,
	} {
		u, err := ParseBase(text)
		if ok {
			require.NoError(t, err, text)
			require.NotEmpty(t, u.Host, text)
			continue
		}
		require.EqualError(t, err, "must be an http or https URL without a query (?) and a fragment (#)", text)
	}
	_, err := ParseBase("ftp://x?y")
	require.EqualError(t, err, "must be an absolute http or https URL")
}
