package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/transport"
)

const (
	cookieName = "sweepline_session"
	// hostCookieName is its name behind TLS: browsers take a cookie of that prefix from
	// its very host alone, over TLS, so that no sister domain can plant one.
	// Rule: draft-ietf-httpbis-rfc6265bis, 4.1.3.2.
	hostCookieName = "__Host-" + cookieName
	// secureCookieName is what is left of that where the host is shared: the other prefix
	// asks for the path "/".
	secureCookieName = "__Secure-" + cookieName
	// sessionAge is how long a browser stays signed in.
	sessionAge = 12 * time.Hour
	// revokedPatience bounds asking whether a session was signed out of.
	revokedPatience = time.Second
)

// Revocations remembers, for all processes, which sessions were signed out of:
// once.Once. A group is the sessions of one key.
type Revocations interface {
	Revoke(ctx context.Context, group, id string, until time.Time) error
	Revoked(ctx context.Context, group, id string, until time.Time) (bool, error)
}

// Sessions keep a browser signed in after its key was asked for once, with a
// signed cookie. A session is stored nowhere: it ends with its time, with its key
// being taken out of TENANT_KEYS, or with the secret. Stored is that it was signed out
// of, so that it has ended for everybody who holds the cookie, at every process. While
// the revocations cannot be read, sessions are taken for what they say: people need the
// pages above all when a store is away.
type Sessions struct {
	keys    *Keys
	secret  []byte
	revoked Revocations
	now     func() time.Time
	path    string
	logged  atomic.Int64
}

// session is what a cookie says.
type session struct {
	until  time.Time
	mark   string // of its key
	id     string
	tenant string
}

// NewSessions signs with a key derived from secret, so that the same secret may
// serve other ends. An empty secret is replaced by a random one: sessions then
// end with the process.
func NewSessions(keys *Keys, secret string, revoked Revocations, now func() time.Time) (*Sessions, error) {
	if keys == nil || revoked == nil || now == nil {
		return nil, errors.New("sessions need keys, revocations and a clock")
	}
	s := &Sessions{keys: keys, revoked: revoked, now: now, path: "/"}
	if secret == "" {
		secret = rand.Text()
	} else if err := function.CheckSecret("CALLBACK_SECRET", secret); err != nil {
		return nil, err
	}
	s.secret = sign([]byte(secret), "sweepline dashboard session")
	return s, nil
}

// Below keeps cookies to what is below a path, such as "/sweeps": others may have the
// rest of the host. It is called before the first session.
func (s *Sessions) Below(path string) { s.path = path + "/" }

// Begin signs a browser in. Its errors are those of Keys.Lookup.
func (s *Sessions) Begin(w http.ResponseWriter, r *http.Request, key string) error {
	if _, err := s.keys.Lookup(r, key); err != nil {
		return err
	}
	hash := sha256.Sum256([]byte(key))
	claim := strconv.FormatInt(s.now().Add(sessionAge).Unix(), 10) + "." + s.mark(hash) + "." + rand.Text()
	http.SetCookie(w, s.cookie(r, claim+"."+hex.EncodeToString(sign(s.secret, claim)), int(sessionAge/time.Second)))
	return nil
}

// End signs a browser out: the session has ended, here and for everybody who has its
// cookie. An error says that it has not, and the browser keeps its cookie.
func (s *Sessions) End(w http.ResponseWriter, r *http.Request) error {
	if c, err := r.Cookie(s.name(r)); err == nil {
		if in, ok := s.read(c.Value); ok {
			if err := s.revoked.Revoke(r.Context(), in.mark, in.id, in.until); err != nil {
				return err
			}
		}
	}
	http.SetCookie(w, s.cookie(r, "", -1))
	return nil
}

// name is the cookie's for a request. Behind a proxy that ends TLS that comes in plain.
func (s *Sessions) name(r *http.Request) string {
	switch {
	case !transport.Secure(r):
		return cookieName
	case s.path != "/":
		return secureCookieName
	default:
		return hostCookieName
	}
}

func (s *Sessions) cookie(r *http.Request, value string, age int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // plain http is for laptops; see Secure
		Name: s.name(r), Value: value, Path: s.path, MaxAge: age,
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: transport.Secure(r),
	}
}

// Identify names the tenant by the request's key, or else by its cookie. Its errors are
// those of Keys.Identify.
func (s *Sessions) Identify(r *http.Request) (string, error) {
	name, err := s.keys.Identify(r)
	if err == nil || r.Header.Get("Authorization") != "" || r.Header.Get("X-API-Key") != "" {
		return name, err // a wrong key is not mended by a cookie
	}
	c, err := r.Cookie(s.name(r))
	if err != nil {
		return "", ErrKey
	}
	in, ok := s.read(c.Value)
	if !ok || s.signedOut(r.Context(), in) {
		return "", ErrKey
	}
	return in.tenant, nil
}

func (s *Sessions) signedOut(ctx context.Context, in session) bool {
	asking, cancel := context.WithTimeout(ctx, revokedPatience)
	defer cancel()
	out, err := s.revoked.Revoked(asking, in.mark, in.id, in.until)
	if err != nil && ctx.Err() == nil {
		now, before := time.Now().UnixNano(), s.logged.Load()
		if now-before >= int64(logEvery) && s.logged.CompareAndSwap(before, now) {
			slog.WarnContext(ctx, "revocation check failed, accepting session", "error", err)
		}
	}
	return out
}

// read checks a cookie's value, but for its having been signed out of.
func (s *Sessions) read(value string) (session, bool) {
	i := strings.LastIndexByte(value, '.')
	if i < 0 {
		return session{}, false
	}
	claim := value[:i]
	mac, err := hex.DecodeString(value[i+1:])
	if err != nil || !hmac.Equal(mac, sign(s.secret, claim)) {
		return session{}, false
	}
	parts := strings.Split(claim, ".")
	if len(parts) != 3 {
		return session{}, false
	}
	unix, err := strconv.ParseInt(parts[0], 10, 64)
	in := session{until: time.Unix(unix, 0), mark: parts[1], id: parts[2]}
	if err != nil || !s.now().Before(in.until) {
		return session{}, false
	}
	for _, e := range s.keys.entries {
		if hmac.Equal([]byte(s.mark(e.hash)), []byte(in.mark)) {
			in.tenant = e.tenant
			return in, true
		}
	}
	return session{}, false
}

// mark names a key in a cookie without giving anything of it away.
func (s *Sessions) mark(hash [sha256.Size]byte) string {
	return hex.EncodeToString(sign(s.secret, "key "+string(hash[:]))[:16])
}

func sign(secret []byte, text string) []byte {
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(text))
	return m.Sum(nil)
}
