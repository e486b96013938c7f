package auth_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/auth"
)

// revoked is Revocations in memory.
type revoked struct {
	names map[string]bool
	err   error
}

func (r *revoked) Revoke(_ context.Context, group, id string, _ time.Time) error {
	if r.err != nil {
		return r.err
	}
	if r.names == nil {
		r.names = map[string]bool{}
	}
	r.names[group+"/"+id] = true
	return nil
}

func (r *revoked) Revoked(_ context.Context, group, id string, _ time.Time) (bool, error) {
	return r.names[group+"/"+id], r.err
}

// browser sends the cookies that it was given.
type browser struct {
	https   bool
	cookies map[string]*http.Cookie
}

func (b *browser) request() *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", http.NoBody)
	if b.https {
		r.Header.Set("X-Forwarded-Proto", "https")
	}
	for _, c := range b.cookies {
		r.AddCookie(c)
	}
	return r
}

func (b *browser) take(w *httptest.ResponseRecorder) {
	for _, c := range w.Result().Cookies() {
		if b.cookies == nil {
			b.cookies = map[string]*http.Cookie{}
		}
		b.cookies[c.Name] = c
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
}

func (b *browser) signIn(t *testing.T, s *auth.Sessions, key string) {
	t.Helper()
	w := httptest.NewRecorder()
	require.NoError(t, s.Begin(w, b.request(), key))
	b.take(w)
}

func (b *browser) signOut(s *auth.Sessions) error {
	w := httptest.NewRecorder()
	err := s.End(w, b.request())
	b.take(w)
	return err
}

// TestSigningOutEndsTheSession: for whoever has its cookie, at every process, and it ends
// no other.
func TestSigningOutEndsTheSession(t *testing.T) {
	t.Parallel()
	store := &revoked{}
	open := func() *auth.Sessions {
		s, err := auth.NewSessions(keys(t, "acme:one,globex:two"), "the secret of the tests", store, time.Now)
		require.NoError(t, err)
		return s
	}
	here, elsewhere := open(), open()
	var alice, bob browser
	alice.signIn(t, here, "one")
	bob.signIn(t, here, "one")
	copied := browser{cookies: map[string]*http.Cookie{}}
	for name, c := range alice.cookies {
		copied.cookies[name] = c
	}
	_, err := elsewhere.Identify(copied.request())
	require.NoError(t, err)

	store.err = errors.New("dial tcp 10.0.0.7: refused")
	require.ErrorIs(t, alice.signOut(here), store.err)
	require.NotEmpty(t, alice.cookies, "she is told that she is still signed in, and is")
	name, err := here.Identify(alice.request())
	require.NoError(t, err, "the pages go on while the store is away")
	require.Equal(t, "acme", name)

	store.err = nil
	require.NoError(t, alice.signOut(here))
	require.Empty(t, alice.cookies)
	for _, s := range []*auth.Sessions{here, elsewhere} {
		_, err = s.Identify(copied.request())
		require.ErrorIs(t, err, auth.ErrKey)
		_, err = s.Identify(bob.request())
		require.NoError(t, err, "another session of the same key")
	}
	require.NoError(t, copied.signOut(elsewhere), "again")
	require.NoError(t, (&browser{cookies: map[string]*http.Cookie{"sweepline_session": {Name: "sweepline_session", Value: "1.2.3.4"}}}).signOut(here))
	require.Len(t, store.names, 1, "what is no session is remembered by nobody")
}

// TestCookieBehindTLS: its name has a prefix that no other host, and nothing sent in
// plain, can set; a cookie without it names nobody there.
func TestCookieBehindTLS(t *testing.T) {
	t.Parallel()
	s, err := auth.NewSessions(keys(t, "acme:one"), "the secret of the tests", &revoked{}, time.Now)
	require.NoError(t, err)
	b := browser{https: true}
	b.signIn(t, s, "one")
	c := b.cookies["__Host-sweepline_session"]
	require.NotNil(t, c)
	require.True(t, c.Secure)
	require.Equal(t, "/", c.Path)
	require.Empty(t, c.Domain)
	_, err = s.Identify(b.request())
	require.NoError(t, err)

	planted := browser{https: true, cookies: map[string]*http.Cookie{"x": {Name: "sweepline_session", Value: c.Value}}}
	_, err = s.Identify(planted.request())
	require.ErrorIs(t, err, auth.ErrKey)
	require.NoError(t, b.signOut(s))
	require.Empty(t, b.cookies)

	below, err := auth.NewSessions(keys(t, "acme:one"), "the secret of the tests", &revoked{}, time.Now)
	require.NoError(t, err)
	below.Below("/sweeps")
	b.signIn(t, below, "one")
	require.Equal(t, "/sweeps/", b.cookies["__Secure-sweepline_session"].Path, "browsers refuse __Host- for a path")
	_, err = below.Identify(b.request())
	require.NoError(t, err)
}
