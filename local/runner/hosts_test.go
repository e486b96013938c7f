package runner

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOnlyOurHostsAreAnswered(t *testing.T) {
	t.Parallel()
	h := newHosts("https://Hooks.example:8443/base", []string{" proxy.internal ", "10.0.0.7:80", ""})
	for host, ours := range map[string]bool{
		"localhost": true, "localhost:8080": true, "LOCALHOST.": true, "a.localhost:1": true, "127.0.0.1": true, "127.0.0.1:8080": true,
		"127.9.9.9": true, "[::1]": true, "[::1]:8080": true, "[::ffff:127.0.0.1]:80": true,
		"hooks.example": true, "hooks.example:443": true, "HOOKS.EXAMPLE.": true, "proxy.internal:8080": true, "10.0.0.7": true,
		"": false, ":8080": false, "evil.example": false, "evil.example:8080": false, "localhost.evil.example": false, "notlocalhost": false,
		"127.0.0.1.evil.example": false, "evil.hooks.example": false, "10.0.0.8": false, "0.0.0.0": false, "[::]": false, "2130706433": false,
		"127.0.0.1]": false, "[127.0.0.1": false, "[localhost": false,
		"localhost@evil.example": false, "evil.example,localhost": false,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.Host = host
		w := httptest.NewRecorder()
		h.only(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
		want := http.StatusMisdirectedRequest
		if ours {
			want = http.StatusOK
		}
		require.Equal(t, want, w.Code, host)
	}
}
