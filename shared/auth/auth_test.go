package auth_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/auth/authtest"
)

func keys(t *testing.T, text string) *auth.Keys {
	t.Helper()
	k, err := auth.New(auth.Config{Keys: authtest.Hashed(text)})
	require.NoError(t, err)
	return k
}

func TestIdentify(t *testing.T) {
	t.Parallel()
	hashed := fmt.Sprintf("globex:sha256=%x", sha256.Sum256([]byte("secret-three")))
	k := keys(t, "acme:secret-one, acme:secret-two,"+hashed+",acme:with:colon")
	for _, c := range []struct{ header, value, want string }{
		{"Authorization", "Bearer secret-one", "acme"},
		{"Authorization", "bearer secret-two", "acme"},
		{"X-API-Key", "secret-three", "globex"},
		{"X-API-Key", "with:colon", "acme"},
		{"X-API-Key", "secret-four", ""},
		{"X-API-Key", "", ""},
		{"Authorization", "Bearer ", ""},
		{"Authorization", "Basic secret-one", ""},
		{"Authorization", "secret-one", ""},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.Header.Set(c.header, c.value)
		got, err := k.Identify(r)
		require.Equal(t, c.want, got, "%s: %s", c.header, c.value)
		require.Equal(t, c.want != "", err == nil)
	}
}

func TestWithoutKeysThereIsOneTenant(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.Header.Set("X-API-Key", "anything")
	got, err := keys(t, "").Identify(r)
	require.NoError(t, err)
	require.Equal(t, "default", got)
}

func TestBadEntriesAreNamedByPlaceOnly(t *testing.T) {
	t.Parallel()
	_, err := auth.New(auth.Config{Keys: "acme:fine-key-of-acme-1,hushhush,no good:hushhush2,x:,y:sha256=hushhush3,z:fine-key-of-acme-1,w:sha256=" + strings.Repeat("a", 66)})
	require.Error(t, err)
	for _, n := range []int{2, 3, 4, 5, 6, 7} {
		require.ErrorContains(t, err, fmt.Sprintf("entry %d ", n))
	}
	require.NotContains(t, err.Error(), "entry 1 ")
	require.NotContains(t, err.Error(), "hushhush")
	require.NotContains(t, err.Error(), "fine-key")
}

func TestRequire(t *testing.T) {
	t.Parallel()
	h := keys(t, "acme:k").Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(auth.FromContext(r.Context())))
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", http.NoBody))
	require.Equal(t, http.StatusUnauthorized, w.Code)
	require.Contains(t, w.Body.String(), `"code":"unauthorized"`)
	require.NotEmpty(t, w.Header().Get("WWW-Authenticate"))

	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.Header.Set("X-API-Key", "k")
	w = httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, "acme", w.Body.String())
}

func TestSessions(t *testing.T) {
	t.Parallel()
	const secret = "the secret of the tests"
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	open := func(list, with string) *auth.Sessions {
		s, err := auth.NewSessions(keys(t, list), with, &revoked{}, clock)
		require.NoError(t, err)
		return s
	}
	s := open("acme:one,globex:two", secret)
	login := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/login", http.NoBody)
	require.ErrorIs(t, s.Begin(login, r, "three"), auth.ErrKey)
	require.Empty(t, login.Header().Get("Set-Cookie"))
	require.NoError(t, s.Begin(login, r, "two"))
	cookie := login.Result().Cookies()[0]
	require.True(t, cookie.HttpOnly)
	require.Equal(t, http.SameSiteStrictMode, cookie.SameSite)

	with := func(value string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.AddCookie(&http.Cookie{Name: cookie.Name, Value: value})
		return r
	}
	identify := func(s *auth.Sessions, r *http.Request) string {
		name, _ := s.Identify(r)
		return name
	}
	require.Equal(t, "globex", identify(s, with(cookie.Value)))
	require.Equal(t, "globex", identify(open("globex:two", secret), with(cookie.Value)), "another replica")
	require.Empty(t, identify(open("globex:two", "another secret of tests"), with(cookie.Value)), "another secret")
	require.Empty(t, identify(open("globex:new", secret), with(cookie.Value)), "the key was taken out")
	require.Empty(t, identify(open("globex:two", ""), with(cookie.Value)), "a random secret")
	flipped := strings.Map(func(r rune) rune {
		if r == '1' {
			return '2'
		}
		return r
	}, cookie.Value)
	for _, bad := range []string{"", ".", "a.b", "a.b.c", flipped, cookie.Value + "0", cookie.Value[:len(cookie.Value)-2]} {
		require.Empty(t, identify(s, with(bad)), bad)
	}
	wrong := with(cookie.Value)
	wrong.Header.Set("X-API-Key", "three")
	require.Empty(t, identify(s, wrong), "a wrong key is not mended by a cookie")

	now = now.Add(13 * time.Hour)
	require.Empty(t, identify(s, with(cookie.Value)), "too old")
}

func FuzzNew(f *testing.F) {
	f.Add("acme:key")
	f.Add("a:sha256=00,b:")
	f.Add(",:,")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := auth.New(auth.Config{Keys: text})
		require.Equal(t, err == nil, k != nil)
	})
}
