// Package auth tells whose request it is. Keys name tenants; without keys
// everything belongs to one tenant, job.DefaultTenant. It guards the webhook
// and the jobs API, before either looks at a body.
package auth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/quota"
)

// Config is read from the environment.
type Config struct {
	// Keys is "tenant:key,tenant:key,…"; a key may be given as sha256=HEX, so
	// that the environment need not hold it. A tenant may stand twice while
	// its keys rotate. Not set at all: no key is asked for. Set but empty is an
	// error: a Secret without its key, or a typo, must not open the door.
	Keys string `envconfig:"TENANT_KEYS"`
	// KeysSet says that the variable is there, whatever is in it.
	KeysSet Present `envconfig:"TENANT_KEYS"`
	// Tenants is "open" where everybody who can reach us is to be let in. In a
	// cluster, and where LISTEN_ADDRESS is not of this machine alone, nothing that
	// asks for keys starts without them unless it says so.
	Tenants string `envconfig:"TENANTS"`
	// Service says that the process runs in a cluster, where others reach it.
	Service string `envconfig:"K_SERVICE"`
	// Cluster says the same.
	Cluster string `envconfig:"KUBERNETES_SERVICE_HOST"`
	// Address says whether others than this machine reach the process: keys are then
	// required.
	Address string `envconfig:"LISTEN_ADDRESS"`
	// Loopback says that nobody but this machine reaches us, wherever it runs.
	Loopback bool `ignored:"true"`

	// Requests is how many requests a second a tenant may make of one process; 0 for
	// any number. Auto: 2,000 where tenants share, else any number.
	Requests int `envconfig:"TENANT_REQUESTS_PER_SECOND" default:"-1"`
	// Burst is how many requests a tenant may make at once. 0 is twice Requests.
	Burst int `envconfig:"TENANT_REQUESTS_BURST" default:"0"`
	// OpenJobs is how many jobs of a tenant may be queued, over all processes; 0
	// for any number. Auto: 1,000 where tenants share, else any number.
	OpenJobs int `envconfig:"TENANT_OPEN_JOBS" default:"-1"`
}

// Present is not empty where its variable is there, empty or not.
type Present string

// Decode implements envconfig.Decoder.
func (p *Present) Decode(string) error {
	*p = "set"
	return nil
}

// public reports whether others than this machine may reach us.
func (c Config) public() bool {
	if c.Loopback {
		return false
	}
	if c.Service != "" || c.Cluster != "" {
		return true
	}
	host, _, err := net.SplitHostPort(c.Address)
	if c.Address == "" || err != nil {
		return false // nothing listens at what is no address
	}
	ip := net.ParseIP(host)
	return host != "localhost" && (ip == nil || !ip.IsLoopback())
}

// namePattern keeps names fit for event attributes, metric labels and URLs.
var namePattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`) })

// Keys knows which key is whose. The zero value knows none and asks for none.
type Keys struct {
	entries []entry
	// tenants are their names, each once.
	tenants []string
	// everybody is who is let in where no keys are asked for.
	everybody string
	limits    limits
	attempts  attempts
}

type entry struct {
	tenant string
	hash   [sha256.Size]byte
	users  *users
}

// New reads cfg. Its error names the entry by its place, never by its text.
func New(cfg Config) (*Keys, error) {
	k := &Keys{everybody: "everyone on this machine"}
	if cfg.Tenants != "" && cfg.Tenants != "open" {
		return nil, errors.New(`TENANTS can be "open" and nothing else: tenants are named in TENANT_KEYS`)
	}
	open := cfg.Tenants == "open"
	switch blank := strings.TrimSpace(cfg.Keys) == ""; {
	case blank && (cfg.KeysSet != "" || cfg.Keys != ""):
		return nil, errors.New("TENANT_KEYS is set but empty: name tenants and their keys, or unset it and say TENANTS=open to let everyone in")
	case blank && cfg.public() && !open:
		return nil, errors.New("TENANT_KEYS is required where others than this machine reach us: name tenants and their keys, or say TENANTS=open to let everyone in")
	case blank:
		if cfg.public() {
			k.everybody = "everyone who can reach it"
		}
		return k, k.limit(cfg)
	case open:
		return nil, errors.New("TENANTS=open and TENANT_KEYS contradict each other: unset one")
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
	return k, k.limit(cfg)
}

// Admits says who is let in, for people.
func (k *Keys) Admits() string {
	if k.Open() {
		return "open to " + cmp.Or(k.everybody, "everyone") + ", without keys"
	}
	return "tenants: " + strings.Join(k.tenants, ", ")
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
		if len(key) < function.MinSecret {
			return entry{}, fmt.Errorf("has a key that is too short: it must have %d bytes at least", function.MinSecret)
		}
		return entry{tenant: name, hash: sha256.Sum256([]byte(key)), users: &users{}}, nil
	}
	e := entry{tenant: name, users: &users{}}
	if n, err := hex.Decode(e.hash[:], []byte(clip(digest))); err != nil || n != sha256.Size || len(digest) != 2*sha256.Size {
		return entry{}, errors.New("has a sha256 that is not 64 hex digits")
	}
	return e, nil
}

// clip keeps hex.Decode within the digest's array.
func clip(s string) string { return s[:min(len(s), 2*sha256.Size)] }

func (k *Keys) add(e entry) error {
	if owner := k.find(e.hash); owner != nil && owner.tenant != e.tenant {
		return errors.New("has the key of another tenant")
	}
	k.entries = append(k.entries, e)
	if !slices.Contains(k.tenants, e.tenant) {
		k.tenants = append(k.tenants, e.tenant)
	}
	return nil
}

// Open reports whether no key is asked for.
func (k *Keys) Open() bool { return len(k.entries) == 0 }

// find gives the entry of a key, or nil. How long it takes tells nothing of the keys:
// digests are compared, all of them, in constant time.
func (k *Keys) find(hash [sha256.Size]byte) *entry {
	var found *entry
	for i := range k.entries {
		if subtle.ConstantTimeCompare(k.entries[i].hash[:], hash[:]) == 1 {
			found = &k.entries[i]
		}
	}
	return found
}

// ErrKey: the request names no tenant.
var ErrKey = errors.New("a valid key is required")

// Lookup names the tenant of a key that came with a request. It is ErrKey for a wrong
// one, and a quota.Exceeded, whatever the key, where many wrong ones came from the
// same address before.
func (k *Keys) Lookup(r *http.Request, key string) (string, error) {
	from := addressOf(r)
	e := k.find(sha256.Sum256([]byte(key)))
	known := e != nil && e.users.known(from)
	if known {
		return e.tenant, nil
	}
	if wait := k.attempts.wait(from); wait > 0 {
		return "", &quota.Exceeded{What: "wrong keys of an address", Limit: freeAttempts, RetryAfter: wait}
	}
	if e == nil {
		k.attempts.failed(r.Context(), from)
		return "", ErrKey
	}
	e.users.add(from)
	return e.tenant, nil
}

// keyOf is the key that a request brings, in "Authorization: Bearer KEY" or
// X-API-Key.
func keyOf(h http.Header) string {
	if scheme, key, ok := strings.Cut(h.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(key)
	}
	return h.Get("X-API-Key")
}

// Identify names the tenant of a request by its key. Without keys it is
// job.DefaultTenant, whatever is sent. Its errors are Lookup's.
func (k *Keys) Identify(r *http.Request) (string, error) {
	if k.Open() {
		return job.DefaultTenant, nil
	}
	key := keyOf(r.Header)
	if key == "" {
		return "", ErrKey
	}
	return k.Lookup(r, key)
}

// Require lets requests through that name a tenant, which FromContext then gives, and
// that are within its share. It answers 401 and 429 to all others.
func (k *Keys) Require(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, err := k.Identify(r)
		if err == nil {
			err = k.Admit(name)
		}
		if err != nil {
			Refuse(w, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(NewContext(r.Context(), name)))
	})
}

// Refuse answers for an error of Identify or Admit.
func Refuse(w http.ResponseWriter, err error) {
	if more, ok := errors.AsType[*quota.Exceeded](err); ok {
		more.Write(w)
		return
	}
	Unauthorized(w)
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
