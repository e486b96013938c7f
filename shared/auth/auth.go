// Package auth tells whose request it is. Keys name tenants; without keys
// everything belongs to one tenant, job.DefaultTenant. It guards the webhook
// and the jobs API, before either looks at a body.
package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"

	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
)

// Config is read from the environment.
type Config struct {
	// Keys is "tenant:key,tenant:key,…"; a key may be given as sha256=HEX, so
	// that the environment need not hold it. A tenant may stand twice while
	// its keys rotate. Empty: no key is asked for.
	Keys string `envconfig:"TENANT_KEYS"`
}

// namePattern keeps names fit for event attributes, metric labels and URLs.
var namePattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`) })

// Keys knows which key is whose. The zero value knows none and asks for none.
type Keys struct{ entries []entry }

type entry struct {
	tenant string
	hash   [sha256.Size]byte
}

// New reads cfg. Its error names the entry by its place, never by its text.
func New(cfg Config) (*Keys, error) {
	k := &Keys{}
	if strings.TrimSpace(cfg.Keys) == "" {
		return k, nil
	}
	var errs []error
	for i, text := range strings.Split(cfg.Keys, ",") {
		e, err := parse(strings.TrimSpace(text))
		if err == nil {
			err = k.add(e)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("TENANT_KEYS: entry %d %w", i+1, err))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return k, nil
}

func parse(text string) (entry, error) {
	name, key, ok := strings.Cut(text, ":")
	switch {
	case !ok:
		return entry{}, errors.New("is not tenant:key")
	case !namePattern().MatchString(name):
		return entry{}, errors.New("has a tenant that is not 1 to 64 letters, digits, dots, dashes or underscores")
	case key == "":
		return entry{}, errors.New("has no key")
	}
	digest, hashed := strings.CutPrefix(key, "sha256=")
	if !hashed {
		return entry{name, sha256.Sum256([]byte(key))}, nil
	}
	e := entry{tenant: name}
	if n, err := hex.Decode(e.hash[:], []byte(clip(digest))); err != nil || n != sha256.Size || len(digest) != 2*sha256.Size {
		return entry{}, errors.New("has a sha256 that is not 64 hex digits")
	}
	return e, nil
}

// clip keeps hex.Decode within the digest's array.
func clip(s string) string { return s[:min(len(s), 2*sha256.Size)] }

func (k *Keys) add(e entry) error {
	if owner, taken := k.find(e.hash); taken && owner != e.tenant {
		return errors.New("has the key of another tenant")
	}
	k.entries = append(k.entries, e)
	return nil
}

// Open reports whether no key is asked for.
func (k *Keys) Open() bool { return len(k.entries) == 0 }

// Lookup names the tenant of a key. How long it takes tells nothing of the
// keys: digests are compared, all of them, in constant time.
func (k *Keys) Lookup(key string) (string, bool) {
	return k.find(sha256.Sum256([]byte(key)))
}

func (k *Keys) find(hash [sha256.Size]byte) (tenant string, ok bool) {
	for _, e := range k.entries {
		if subtle.ConstantTimeCompare(e.hash[:], hash[:]) == 1 {
			tenant, ok = e.tenant, true
		}
	}
	return tenant, ok
}

// Identify names the tenant of a request by its key, in "Authorization: Bearer
// KEY" or X-API-Key. Without keys it is job.DefaultTenant, whatever is sent.
func (k *Keys) Identify(r *http.Request) (string, bool) {
	if k.Open() {
		return job.DefaultTenant, true
	}
	if scheme, key, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return k.Lookup(strings.TrimSpace(key))
	}
	if key := r.Header.Get("X-API-Key"); key != "" {
		return k.Lookup(key)
	}
	return "", false
}

// Require lets requests through that name a tenant, which FromContext then
// gives, and answers 401 to all others.
func (k *Keys) Require(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, ok := k.Identify(r)
		if !ok {
			Unauthorized(w)
			return
		}
		next.ServeHTTP(w, r.WithContext(NewContext(r.Context(), name)))
	})
}

// Unauthorized answers 401.
func Unauthorized(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="sweepline"`)
	function.WriteError(w, http.StatusUnauthorized, function.CodeUnauthorized, "a valid key is required")
}

type contextKey struct{}

// NewContext carries a tenant.
func NewContext(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, contextKey{}, name)
}

// FromContext gives the tenant that Require found, or "", which owns nothing.
func FromContext(ctx context.Context) string {
	name, _ := ctx.Value(contextKey{}).(string)
	return name
}
