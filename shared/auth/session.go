package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/transport"
)

const (
	cookieName = "sweepline_session"
	// sessionAge is how long a browser stays signed in.
	sessionAge = 12 * time.Hour
)

// Sessions keep a browser signed in after its key was asked for once, with a
// signed cookie. Nothing is stored: a session ends with its time, with its key
// being taken out of TENANT_KEYS, or with the secret.
type Sessions struct {
	keys   *Keys
	secret []byte
	now    func() time.Time
	path   string
}

// NewSessions signs with a key derived from secret, so that the same secret may
// serve other ends. An empty secret is replaced by a random one: sessions then
// end with the process.
func NewSessions(keys *Keys, secret string, now func() time.Time) (*Sessions, error) {
	if keys == nil || now == nil {
		return nil, errors.New("sessions need keys and a clock")
	}
	s := &Sessions{keys: keys, now: now, path: "/"}
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
	claim := strconv.FormatInt(s.now().Add(sessionAge).Unix(), 10) + "." + s.mark(hash)
	http.SetCookie(w, s.cookie(r, claim+"."+hex.EncodeToString(sign(s.secret, claim)), int(sessionAge/time.Second)))
	return nil
}

// End signs a browser out.
func (s *Sessions) End(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, s.cookie(r, "", -1))
}

func (s *Sessions) cookie(r *http.Request, value string, age int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // plain http is for laptops; see Secure
		Name: cookieName, Value: value, Path: s.path, MaxAge: age,
		HttpOnly: true, SameSite: http.SameSiteStrictMode,
		// Behind a proxy that ends TLS the request comes in plain.
		Secure: transport.Secure(r),
	}
}

// Identify names the tenant by the request's key, or else by its cookie. Its errors are
// those of Keys.Identify.
func (s *Sessions) Identify(r *http.Request) (string, error) {
	name, err := s.keys.Identify(r)
	if err == nil || r.Header.Get("Authorization") != "" || r.Header.Get("X-API-Key") != "" {
		return name, err // a wrong key is not mended by a cookie
	}
	c, err := r.Cookie(cookieName)
	if err != nil {
		return "", ErrKey
	}
	if name, ok := s.tenantOf(c.Value); ok {
		return name, nil
	}
	return "", ErrKey
}

func (s *Sessions) tenantOf(value string) (string, bool) {
	i := strings.LastIndexByte(value, '.')
	if i < 0 {
		return "", false
	}
	claim := value[:i]
	mac, err := hex.DecodeString(value[i+1:])
	if err != nil || !hmac.Equal(mac, sign(s.secret, claim)) {
		return "", false
	}
	until, mark, _ := strings.Cut(claim, ".")
	unix, err := strconv.ParseInt(until, 10, 64)
	if err != nil || !s.now().Before(time.Unix(unix, 0)) {
		return "", false
	}
	for _, e := range s.keys.entries {
		if hmac.Equal([]byte(s.mark(e.hash)), []byte(mark)) {
			return e.tenant, true
		}
	}
	return "", false
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
