package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrs "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/pkg/kmeta"

	"github.com/zixly/sweepline/knative/contract"
	"github.com/zixly/sweepline/knative/contract/write"
)

// tokenLife is what is asked for, and half of it how long deliveries go on with no
// controller at least. The API server may give less.
const tokenLife = 4 * time.Hour

// identity is who delivers, a ServiceAccount of the Broker's namespace, and to whom.
type identity struct{ account, audience string }

// identitiesOf are those of a Trigger's entry.
func identitiesOf(e eventingv1.Trigger) (found []identity) {
	if e.Status.Auth == nil || e.Status.Auth.ServiceAccountName == nil {
		return nil
	}
	account := *e.Status.Auth.ServiceAccountName
	if a := e.Spec.Subscriber.Audience; a != nil && *a != "" {
		found = append(found, identity{account, *a})
	}
	if d := e.Spec.Delivery; d != nil && d.DeadLetterSink != nil && d.DeadLetterSink.Audience != nil && *d.DeadLetterSink.Audience != "" {
		found = append(found, identity{account, *d.DeadLetterSink.Audience})
	}
	return found
}

// tokens has the API server make the tokens that deliveries carry, and writes them into
// a Secret of each Broker, which its dispatcher mounts. It reads no Secret, not even
// those: what is in them is known here, and made anew after a restart.
type tokens struct {
	kube kubernetes.Interface
	now  func() time.Time

	mu      sync.Mutex
	brokers map[types.UID]*written
}

// written is what a Broker's Secret holds.
type written struct {
	tokens map[identity]token
	// all: the last write went through.
	all bool
}

type token struct {
	text  string
	until time.Time // when it is to be exchanged
}

func newTokens(kube kubernetes.Interface, now func() time.Time) *tokens {
	return &tokens{kube: kube, now: now, brokers: make(map[types.UID]*written)}
}

// write has the Secret hold a token of each identity, none of which is past half its
// life. It gives those of which there is one; the error says what is wrong with the others.
func (t *tokens) write(ctx context.Context, b *eventingv1.Broker, wanted map[identity]bool) (map[identity]bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	last := t.brokers[b.UID]
	if last == nil {
		if len(wanted) == 0 {
			return nil, nil
		}
		last = &written{}
		t.brokers[b.UID] = last
	}
	next := make(map[identity]token, len(wanted))
	fresh := !last.all || len(last.tokens) != len(wanted)
	var errs []error
	for id := range wanted {
		known, ok := last.tokens[id]
		if !ok || t.now().After(known.until) {
			made, err := t.make(ctx, b.Namespace, id)
			if err == nil {
				known, ok, fresh = made, true, true
			} else {
				errs = append(errs, err)
			}
		}
		if ok { // also one that could not be exchanged yet
			next[id] = known
		}
	}
	if fresh {
		last.all = false
		if err := t.put(ctx, b, next); err != nil {
			return nil, errors.Join(append(errs, err)...)
		}
		last.tokens, last.all = next, true
	}
	there := make(map[identity]bool, len(next))
	for id := range next {
		there[id] = true
	}
	return there, errors.Join(errs...)
}

func (t *tokens) make(ctx context.Context, namespace string, id identity) (token, error) {
	asked := t.now()
	made, err := t.kube.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, id.account, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{Audiences: []string{id.audience}, ExpirationSeconds: ptr(int64(tokenLife.Seconds()))},
	}, metav1.CreateOptions{})
	if err != nil {
		return token{}, fmt.Errorf("make a token of %s: %w", id.account, err)
	}
	return token{text: made.Status.Token, until: asked.Add(made.Status.ExpirationTimestamp.Sub(asked) / 2)}, nil
}

func (t *tokens) put(ctx context.Context, b *eventingv1.Broker, all map[identity]token) error {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: b.Namespace, Name: tokensName(b), Labels: labelsOf(b),
			OwnerReferences: []metav1.OwnerReference{*kmeta.NewControllerRef(b)},
		},
		Type: corev1.SecretTypeOpaque,
		Data: make(map[string][]byte, len(all)),
	}
	for id, token := range all {
		secret.Data[contract.TokenFile(id.account, id.audience)] = []byte(token.text)
	}
	secrets := t.kube.CoreV1().Secrets(b.Namespace)
	_, err := secrets.Update(ctx, secret, metav1.UpdateOptions{})
	if apierrs.IsNotFound(err) {
		_, err = secrets.Create(ctx, secret, metav1.CreateOptions{})
	}
	if err != nil {
		return fmt.Errorf("write tokens: %w", err)
	}
	return nil
}

// forget drops what is known of a Broker that is gone.
func (t *tokens) forget(uid types.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.brokers, uid)
}

// prove has deliveries of next's Triggers carry their tokens. A Trigger that has none
// keeps the entry that it had, if it had one, until it has; the error says why.
func (t *tokens) prove(ctx context.Context, b *eventingv1.Broker, old write.Contract, next *write.Contract) error {
	wanted := make(map[identity]bool)
	for i, e := range next.Triggers {
		before, _ := find(old, &next.Triggers[i]) // pods serve it until they have the next
		for _, id := range append(identitiesOf(e), identitiesOf(before)...) {
			wanted[id] = true
		}
	}
	there, err := t.write(ctx, b, wanted)
	var proven []eventingv1.Trigger
	for i, e := range next.Triggers {
		if slices.ContainsFunc(identitiesOf(e), func(id identity) bool { return !there[id] }) {
			var ok bool
			if e, ok = find(old, &next.Triggers[i]); !ok {
				continue
			}
		}
		proven = append(proven, e)
	}
	next.Triggers = proven
	return err
}
