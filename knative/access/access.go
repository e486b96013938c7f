// Package access tells senders apart at the ingress of a data plane, and says what each
// may post, as the contract has it: tokens of the cluster's issuer, checked against its
// keys without asking anybody.
package access

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/zixly/sweepline/knative/contract"
	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/broker/filter"
)

// maxToken bounds what is looked at of a token: those of service accounts have about
// a kilobyte.
const maxToken = 16 << 10

// algorithms are those of public keys: a token must not be signed with a secret, nor not
// at all.
var algorithms = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA,
}

// errNoKeys: the issuer's keys are not known yet.
var errNoKeys = errors.New("the keys of the cluster's issuer are not known yet")

// Guard lets senders in. Its zero value lets everybody in, until Set is called.
type Guard struct{ rules atomic.Pointer[rules] }

type rules struct {
	verifier *oidc.IDTokenVerifier // nil: no keys
	grants   []grant

	// known are tokens that were found good: senders show the same one for an hour, and a
	// signature costs more than all else of a request.
	mu    sync.Mutex
	known map[[sha256.Size]byte]known
}

// maxKnown bounds what is remembered.
const maxKnown = 1000

type known struct {
	subject string
	until   time.Time
}

// subject says whose token it is, if it is good.
func (r *rules) subject(ctx context.Context, token string) (string, error) {
	sum := sha256.Sum256([]byte(token))
	r.mu.Lock()
	k, ok := r.known[sum]
	r.mu.Unlock()
	if ok && time.Now().Before(k.until) {
		return k.subject, nil
	}
	verified, err := r.verifier.Verify(context.WithoutCancel(ctx), token)
	if err != nil {
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil || len(r.known) >= maxKnown {
		r.known = make(map[[sha256.Size]byte]known)
	}
	r.known[sum] = known{verified.Subject, verified.Expiry}
	return verified.Subject, nil
}

type grant struct {
	subjects []string
	filter   *filter.Filter
}

// Set puts a contract's Access into force; nil lets everybody in. After an error what
// was in force still is.
func (g *Guard) Set(a *contract.Access) error {
	if a == nil {
		g.rules.Store(nil)
		return nil
	}
	keys, err := publicKeys(a.Keys)
	if err != nil {
		return err
	}
	r := &rules{}
	if len(keys) > 0 {
		r.verifier = oidc.NewVerifier(a.Issuer, &oidc.StaticKeySet{PublicKeys: keys}, &oidc.Config{
			ClientID: a.Audience, SupportedSigningAlgs: algorithms,
		})
	}
	for _, allowed := range a.Allow {
		next := grant{subjects: allowed.Subjects}
		if len(allowed.Filters) > 0 {
			if next.filter, err = filter.Parse(string(allowed.Filters)); err != nil {
				return fmt.Errorf("policy %s: %w", allowed.Policy, err)
			}
		}
		r.grants = append(r.grants, next)
	}
	g.rules.Store(r)
	return nil
}

// publicKeys reads a JSON Web Key Set.
func publicKeys(text json.RawMessage) ([]crypto.PublicKey, error) {
	if len(text) == 0 {
		return nil, nil
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("read keys of the issuer: %w", err)
	}
	var keys []crypto.PublicKey
	for _, k := range set.Keys {
		if k.Valid() && k.IsPublic() {
			keys = append(keys, k.Key)
		}
	}
	return keys, nil
}

// Admit is a broker.Admit.
func (g *Guard) Admit(r *http.Request, _ broker.Broker) (broker.Admission, error) {
	rules := g.rules.Load()
	switch {
	case rules == nil:
		return broker.Admission{}, nil
	case rules.verifier == nil:
		return broker.Admission{}, errNoKeys
	}
	text, err := bearer(r.Header)
	if err != nil {
		return broker.Admission{}, fmt.Errorf("%w: %w", broker.ErrUnauthenticated, err)
	}
	subject, err := rules.subject(r.Context(), text)
	if err != nil {
		return broker.Admission{}, fmt.Errorf("%w: %s", broker.ErrUnauthenticated, why(err))
	}
	admission := broker.Admission{Sender: subject}
	filters, ok := rules.of(subject)
	if !ok {
		return admission, broker.ErrForbidden
	}
	if len(filters) > 0 {
		admission.Allows = func(event filter.Attributes) bool {
			for _, f := range filters {
				if f.Match(event) {
					return true
				}
			}
			return false
		}
	}
	return admission, nil
}

// bearer gives the token of a request.
func bearer(h http.Header) (string, error) {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return "", errors.New("it sends no token, or more than one")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	switch {
	case !strings.EqualFold(scheme, "Bearer") || token == "":
		return "", errors.New("it sends no bearer token")
	case len(token) > maxToken:
		return "", errors.New("its token is too large")
	}
	return token, nil
}

// why says what is wrong with a token and nothing of what is in it: that is anybody's.
func why(err error) string {
	var expired *oidc.TokenExpiredError
	if errors.As(err, &expired) {
		return "its token has expired"
	}
	return "its token is not one of the cluster's issuer for this Broker"
}

// of gives the filters of which an event of the subject must pass one, none where all
// its events may pass. ok is false where no grant is the subject's.
func (r *rules) of(subject string) (filters []*filter.Filter, ok bool) {
	for _, g := range r.grants {
		if !g.has(subject) {
			continue
		}
		if g.filter == nil {
			return nil, true
		}
		filters, ok = append(filters, g.filter), true
	}
	return filters, ok
}

func (g grant) has(subject string) bool {
	for _, s := range g.subjects {
		if start, open := strings.CutSuffix(s, "*"); s == subject || open && strings.HasPrefix(subject, start) {
			return true
		}
	}
	return false
}
