package broker

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrs "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clientgotesting "k8s.io/client-go/testing"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	rt "knative.dev/eventing/pkg/reconciler/testing/v1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"github.com/zixly/sweepline/knative/contract"
	"github.com/zixly/sweepline/knative/contract/write"
)

const account = "t-oidc-eventing.knative.dev-trigger"

// addressed to subscribers that have an audience.
func to(audience string) rt.TriggerOption {
	return func(t *eventingv1.Trigger) {
		t.Status.Auth = &duckv1.AuthStatus{ServiceAccountName: ptr(account)}
		if audience != "" {
			t.Status.SubscriberAudience = ptr(audience)
		}
	}
}

// api is an API server that makes tokens, good for as long as it says.
type api struct {
	*fake.Clientset
	life    time.Duration
	made    []string
	refuses func(account, audience string) error
	puts    int
}

func newAPI() *api {
	a := &api{Clientset: fake.NewSimpleClientset(), life: tokenLife}
	a.PrependReactor("create", "serviceaccounts", func(action clientgotesting.Action) (bool, runtime.Object, error) {
		create := action.(clientgotesting.CreateActionImpl)
		r := create.GetObject().(*authenticationv1.TokenRequest)
		if a.refuses != nil {
			if err := a.refuses(create.Name, r.Spec.Audiences[0]); err != nil {
				return true, nil, err
			}
		}
		text := fmt.Sprintf("%s to %s, %d", create.Name, r.Spec.Audiences[0], len(a.made))
		a.made = append(a.made, text)
		r.Status = authenticationv1.TokenRequestStatus{Token: text, ExpirationTimestamp: metav1.NewTime(clock.Add(a.life))}
		return true, r, nil
	})
	a.PrependReactor("update", "secrets", func(clientgotesting.Action) (bool, runtime.Object, error) {
		a.puts++
		return false, nil, nil
	})
	return a
}

func (a *api) secret(t *testing.T) map[string]string {
	t.Helper()
	s, err := a.CoreV1().Secrets(ns).Get(t.Context(), tokensName(broker()), metav1.GetOptions{})
	require.NoError(t, err)
	require.True(t, metav1.IsControlledBy(s, broker()), "it goes with the Broker")
	out := map[string]string{}
	for k, v := range s.Data {
		out[k] = string(v)
	}
	return out
}

func TestTokensAreWrittenBeforeTheirTriggersAreServed(t *testing.T) {
	t.Parallel()
	a, now := newAPI(), clock
	tokens := newTokens(a, func() time.Time { return now })
	letters := func(t *eventingv1.Trigger) {
		t.Spec.Delivery = &eventingduckv1.DeliverySpec{DeadLetterSink: &duckv1.Destination{URI: apis.HTTP("letters.example.com")}}
		t.Status.DeliveryStatus = eventingduckv1.DeliveryStatus{DeadLetterSinkURI: apis.HTTP("letters.example.com"), DeadLetterSinkAudience: ptr("letters")}
	}
	e := entryOf(t, settled(to("sub"), letters), broker())
	require.Equal(t, "sub", *e.Spec.Subscriber.Audience)
	require.Equal(t, account, *e.Status.Auth.ServiceAccountName)
	next := serving(nextGen, e)
	require.NoError(t, tokens.prove(t.Context(), broker(), write.Contract{}, &next))
	require.Len(t, next.Triggers, 1)
	sub, sink := contract.TokenFile(account, "sub"), contract.TokenFile(account, "letters")
	first := a.secret(t)
	require.Len(t, first, 2)
	require.Contains(t, first[sub], account+" to sub, ")
	require.Contains(t, first[sink], account+" to letters, ")

	require.NoError(t, tokens.prove(t.Context(), broker(), next, &next))
	require.Len(t, a.made, 2, "nothing changes when nothing changed")
	require.Equal(t, 1, a.puts)

	now = clock.Add(tokenLife/2 + time.Second)
	require.NoError(t, tokens.prove(t.Context(), broker(), next, &next))
	require.Len(t, a.made, 4, "exchanged at half their life")
	require.NotEqual(t, first, a.secret(t))

	empty := serving(nextGen + 1)
	require.NoError(t, tokens.prove(t.Context(), broker(), next, &empty))
	require.Empty(t, a.secret(t), "what nobody uses is not kept")
}

func TestATriggerWithoutATokenKeepsTheEntryItHad(t *testing.T) {
	t.Parallel()
	a := newAPI()
	tokens := newTokens(a, func() time.Time { return clock })
	old := serving(firstGen, entryOf(t, settled(to("before")), broker()))
	require.NoError(t, tokens.prove(t.Context(), broker(), write.Contract{}, &old))

	a.refuses = func(_, audience string) error {
		if audience == "after" {
			return apierrs.NewNotFound(corev1.Resource("serviceaccounts"), account)
		}
		return nil
	}
	other := entryOf(t, settled(to(""), func(t *eventingv1.Trigger) { t.Name, t.UID = "other", "other" }), broker())
	fresh := entryOf(t, settled(to("after"), func(t *eventingv1.Trigger) { t.Name, t.UID = "fresh", "fresh" }), broker())
	next := serving(nextGen, fresh, other, entryOf(t, settled(to("after")), broker()))
	require.ErrorContains(t, tokens.prove(t.Context(), broker(), old, &next), "make a token of "+account)
	var names []string
	for _, e := range next.Triggers {
		names = append(names, e.Name)
	}
	require.Equal(t, []string{"other", "t"}, names, "others are served; one that never was waits")
	require.Equal(t, "before", *next.Triggers[1].Spec.Subscriber.Audience)
	require.Contains(t, a.secret(t), contract.TokenFile(account, "before"), "pods deliver with it")

	a.refuses = nil
	next = serving(nextGen, entryOf(t, settled(to("after")), broker()))
	require.NoError(t, tokens.prove(t.Context(), broker(), old, &next))
	require.Len(t, a.secret(t), 2, "both, while pods may serve either")
	require.NoError(t, tokens.prove(t.Context(), broker(), next, &next))
	require.Len(t, a.secret(t), 1)
}

// A Secret that could not be written is written again, and nobody is served before.
func TestTokensThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	a := newAPI()
	tokens := newTokens(a, func() time.Time { return clock })
	failing := true
	a.PrependReactor("*", "secrets", func(action clientgotesting.Action) (bool, runtime.Object, error) {
		require.Contains(t, []string{"create", "update", "get"}, action.GetVerb()) // get is this test's
		return failing, nil, apierrs.NewForbidden(corev1.Resource("secrets"), "x", errors.New("no"))
	})
	next := serving(nextGen, entryOf(t, settled(to("sub")), broker()))
	require.ErrorContains(t, tokens.prove(t.Context(), broker(), write.Contract{}, &next), "write tokens")
	require.Empty(t, next.Triggers)
	failing = false
	next = serving(nextGen, entryOf(t, settled(to("sub")), broker()))
	require.NoError(t, tokens.prove(t.Context(), broker(), write.Contract{}, &next))
	require.Len(t, next.Triggers, 1)
	require.Len(t, a.secret(t), 1)
}

func TestNobodyAsksForTokensWhereNobodyWantsThem(t *testing.T) {
	t.Parallel()
	a := newAPI()
	tokens := newTokens(a, func() time.Time { return clock })
	e := entryOf(t, settled(func(t *eventingv1.Trigger) { t.Status.SubscriberAudience = ptr("sub") }), broker())
	require.Nil(t, e.Spec.Subscriber.Audience, "without the flag entries are as ever")
	next := serving(nextGen, e)
	require.NoError(t, tokens.prove(t.Context(), broker(), write.Contract{}, &next))
	require.Empty(t, a.Actions())
}

// A user cannot have a Trigger deliver in another's name.
func TestTheIdentityIsTheControllersToSay(t *testing.T) {
	t.Parallel()
	e := entryOf(t, settled(to("sub"), rt.WithAnnotation("sweepline.dev/identity", "admin")), broker())
	require.Equal(t, []identity{{account, "sub"}}, identitiesOf(e))
}

func TestOnlyTheDispatcherHoldsTokens(t *testing.T) {
	t.Parallel()
	s, err := readSettings(map[string]string{"redis-secret": "redis"})
	require.NoError(t, err)
	d, err := makeDeployment(broker(), s, plainly, true, roleDispatcher, image)
	require.NoError(t, err)
	pod := d.Spec.Template.Spec
	i := slices.IndexFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == "tokens" })
	require.GreaterOrEqual(t, i, 0)
	require.Equal(t, tokensName(broker()), pod.Volumes[i].Secret.SecretName)
	require.True(t, *pod.Volumes[i].Secret.Optional, "it is there once a Trigger needs it")
	require.False(t, *pod.AutomountServiceAccountToken)
	other := broker()
	other.UID = "another"
	require.NotEqual(t, tokensName(broker()), tokensName(other))
}
