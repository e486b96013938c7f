package auth_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/auth/authtest"
)

// FuzzScheduleToken: a token that was not made for a source is none for it.
func FuzzScheduleToken(f *testing.F) {
	s, err := auth.NewSchedules("a secret of schedules")
	require.NoError(f, err)
	const source = "/apis/v1/namespaces/sweepline/pingsources/weekly"
	good, err := s.Token("acme", source)
	require.NoError(f, err)
	for _, seed := range []string{good, "acme:", ":", "", "globex" + strings.TrimPrefix(good, "acme"), good + "=", strings.Replace(good, ":", "::", 1), good[:20] + "\r" + good[20:]} {
		f.Add(seed, source)
	}
	f.Fuzz(func(t *testing.T, token, from string) {
		tenant := s.Tenant(token, from)
		if tenant == "" {
			return
		}
		right, err := s.Token(tenant, from)
		require.NoError(t, err)
		require.Equal(t, right, token)
	})
}

// FuzzSession: a cookie that was not given out names nobody, and breaks nothing.
func FuzzSession(f *testing.F) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	k, err := auth.New(auth.Config{Keys: authtest.Hashed("acme:one")})
	require.NoError(f, err)
	sessions := func(secret string) *auth.Sessions {
		s, err := auth.NewSessions(k, secret, &revoked{}, func() time.Time { return now })
		require.NoError(f, err)
		return s
	}
	s := sessions("a secret of sessions")
	w := httptest.NewRecorder()
	require.NoError(f, sessions("the secret of another").Begin(w, httptest.NewRequest(http.MethodPost, "/login", http.NoBody), "one"))
	other := w.Result().Cookies()[0]
	for _, seed := range []string{other.Value, "", ".", "..", other.Value[1:], strings.Repeat("9", 400) + other.Value} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.AddCookie(&http.Cookie{Name: other.Name, Value: value})
		_, err := s.Identify(r)
		require.ErrorIs(t, err, auth.ErrKey)
	})
}
