package transport_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/transport"
)

func TestUncoded(t *testing.T) {
	t.Parallel()
	for _, lines := range [][]string{nil, {""}, {"identity"}, {"Identity"}, {" IDENTITY , identity"}, {"identity", ""}} {
		require.True(t, transport.Uncoded(http.Header{"Content-Encoding": lines}), lines)
	}
	for _, lines := range [][]string{{"gzip"}, {"GZIP"}, {"identity, gzip"}, {"identity", "br"}, {"x"}} {
		require.False(t, transport.Uncoded(http.Header{"Content-Encoding": lines}), lines)
	}
}

func TestIsUTF8(t *testing.T) {
	t.Parallel()
	require.True(t, transport.IsUTF8(nil))
	for _, charset := range []string{"utf-8", "UTF-8", "utf8", "Utf8", "unicode-1-1-utf-8"} {
		require.True(t, transport.IsUTF8(map[string]string{"charset": charset}), charset)
	}
	for _, charset := range []string{"", "latin1", "utf-16", "utf-7", "utf 8"} {
		require.False(t, transport.IsUTF8(map[string]string{"charset": charset}), charset)
	}
}

func TestSecure(t *testing.T) {
	t.Parallel()
	for proto, want := range map[string]bool{"": false, "http": false, "https": true, "HTTPS": true, "https, http": true, "https,http": true, "http, https": false, " https ": true, "httpsx": false} {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.Header.Set("X-Forwarded-Proto", proto)
		require.Equal(t, want, transport.Secure(r), proto)
		r.TLS = &tls.ConnectionState{}
		require.True(t, transport.Secure(r))
	}
}
