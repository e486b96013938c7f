package access

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/zixly/sweepline/knative/contract"
)

const (
	// tokensEvery is how often a mounted token is read again: the controller exchanges
	// it long before it expires.
	tokensEvery = 10 * time.Second
	// tokenSpare is what a token must be good for when it is sent.
	tokenSpare = 10 * time.Second
)

// ErrNoToken says that an identity cannot be proven now.
var ErrNoToken = errors.New("no token for this audience")

// Tokens are those that deliveries prove their identities with, mounted by kubelet.
type Tokens struct {
	folder string
	now    func() time.Time

	mu   sync.Mutex
	read map[string]read
}

type read struct {
	token  string
	expiry time.Time
	at     time.Time
}

// NewTokens makes Tokens of a mounted folder; without one there are none.
func NewTokens(folder string) *Tokens {
	return &Tokens{folder: folder, now: time.Now, read: make(map[string]read)}
}

// Has reports whether there is a token, be it good or not.
func (t *Tokens) Has(identity, audience string) error {
	switch {
	case audience == "":
		return nil
	case t.folder == "":
		return fmt.Errorf("token of %s: %w", identity, ErrNoToken)
	}
	if _, err := os.Stat(filepath.Join(t.folder, contract.TokenFile(identity, audience))); err != nil {
		return fmt.Errorf("token of %s: %w", identity, plain(err))
	}
	return nil
}

// Get gives a token that is still good.
func (t *Tokens) Get(identity, audience string) (string, error) {
	if t.folder == "" {
		return "", ErrNoToken
	}
	name := contract.TokenFile(identity, audience)
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	last, ok := t.read[name]
	if !ok || now.Sub(last.at) >= tokensEvery {
		next, err := load(filepath.Join(t.folder, name))
		switch {
		case err == nil:
			next.at = now
			last = next
			t.read[name] = last
		case !ok:
			return "", fmt.Errorf("%w: %w", ErrNoToken, plain(err))
		} // one that cannot be read any more is used on while it is good
	}
	if last.expiry.Sub(now) < tokenSpare {
		return "", fmt.Errorf("%w: the one that is mounted has expired", ErrNoToken)
	}
	return last.token, nil
}

func load(file string) (read, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return read{}, err
	}
	token := strings.TrimSpace(string(text))
	parsed, err := jwt.ParseSigned(token, signatures)
	if err != nil {
		return read{}, errors.New("it is not a token")
	}
	var claims jwt.Claims
	// Who it is for checks it; here matters only until when it is good.
	if err := parsed.UnsafeClaimsWithoutVerification(&claims); err != nil || claims.Expiry == nil {
		return read{}, errors.New("it is not a token that expires")
	}
	return read{token: token, expiry: claims.Expiry.Time()}, nil
}

var signatures = func() (all []jose.SignatureAlgorithm) {
	for _, a := range algorithms {
		all = append(all, jose.SignatureAlgorithm(a))
	}
	return all
}()

// plain leaves out the path.
func plain(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
