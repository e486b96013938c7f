package broker

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgotesting "k8s.io/client-go/testing"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/eventing/pkg/apis/eventing/v1alpha1"
	"knative.dev/eventing/pkg/apis/feature"
	duckv1 "knative.dev/pkg/apis/duck/v1"
	. "knative.dev/pkg/reconciler/testing"

	"github.com/zixly/sweepline/knative/access/accesstest"
	"github.com/zixly/sweepline/knative/contract"
	"github.com/zixly/sweepline/knative/contract/write"
)

const audience = "eventing.knative.dev/broker/shop/main"

var oidcOn = feature.Flags{feature.OIDCAuthentication: feature.Enabled, feature.AuthorizationDefaultMode: feature.AuthorizationAllowSameNamespace}

// policy is one that names the Broker, and is ready.
func policy(name string, options ...func(*v1alpha1.EventPolicy)) *v1alpha1.EventPolicy {
	p := &v1alpha1.EventPolicy{}
	p.Namespace, p.Name = ns, name
	p.Spec.To = []v1alpha1.EventPolicySpecTo{{Ref: &v1alpha1.EventPolicyToReference{
		APIVersion: "eventing.knative.dev/v1", Kind: "Broker", Name: brokerName,
	}}}
	p.Status.From = []string{"system:serviceaccount:shop:" + name}
	p.Status.MarkOIDCAuthenticationEnabled()
	p.Status.MarkSubjectsResolvedSucceeded()
	for _, o := range options {
		o(p)
	}
	return p
}

// guarded is a contract whose senders are asked who they are.
func guarded(generation int64, issuer *accesstest.Issuer, allow ...contract.Grant) write.Contract {
	c := serving(generation)
	c.Access = &contract.Access{Audience: audience, Allow: allow}
	if issuer != nil {
		c.Access.Issuer, c.Access.Keys = accesstest.URL, issuer.Keys
	}
	return c
}

func withAudience(b *eventingv1.Broker) {
	b.Status.Address.Audience = ptr(audience)
	for i := range b.Status.Addresses {
		b.Status.Addresses[i].Audience = ptr(audience)
	}
}

var neighboursOfShop = contract.Grant{Subjects: []string{"system:serviceaccount:shop:*"}}

// proving is a dispatcher whose deliveries carry tokens.
func proving(d *appsv1.Deployment) {
	addTokens(&d.Spec.Template.Spec, tokensName(broker()))
	_ = sign(&d.ObjectMeta, d.Spec)
}

func TestReconcileWhoMayPost(t *testing.T) {
	issuer := accesstest.New(t)
	says := map[string]string{discoveryPath: `{"issuer":"` + accesstest.URL + `","jwks_uri":"https://10.0.0.1:6443/keys"}`, keysPath: string(issuer.Keys)}
	plain := func(c write.Contract, more ...runtime.Object) []runtime.Object {
		return append([]runtime.Object{
			settings(), service(t, plainly), contractMap(t, c), endpoints(true),
			deployment(t, roleIngress, settings(), available), deployment(t, roleDispatcher, settings(), available),
		}, more...)
	}
	standing := func(c write.Contract, more ...runtime.Object) []runtime.Object {
		return append(plain(c, more...)[:5:5], append([]runtime.Object{deployment(t, roleDispatcher, settings(), proving, available)}, more...)...)
	}
	secure := func() []runtime.Object {
		all := encrypted(t, encryption{plain: true, tls: true}, broker())
		proving(all[6].(*appsv1.Deployment))
		all[3] = contractMap(t, guarded(firstGen, issuer, neighboursOfShop))
		return all
	}
	neighbours := neighboursOfShop
	byDefault := func(b *eventingv1.Broker) {
		withAudience(b)
		b.Status.MarkEventPoliciesTrueWithReason("DefaultAuthorizationMode", `Default authz mode is "Allow-Same-Namespace"`)
	}
	filtered := policy("alice", func(p *v1alpha1.EventPolicy) {
		p.Spec.Filters = []eventingv1.SubscriptionsAPIFilter{{Exact: map[string]string{"type": "order.made"}}, {CESQL: "EXISTS tenantid"}}
	})
	unready := policy("bob", func(p *v1alpha1.EventPolicy) { p.Status.MarkSubjectsResolvedFailed("SubjectsNotResolved", "no source") })
	others := policy("carol", func(p *v1alpha1.EventPolicy) { p.Spec.To[0].Ref.Name = "another" })
	aliceOnly := contract.Grant{
		Policy: "alice", Subjects: []string{"system:serviceaccount:shop:alice"},
		Filters: json.RawMessage(`[{"exact":{"type":"order.made"}},{"cesql":"EXISTS tenantid"}]`),
	}
	applied := func(names ...string) (refs []eventingduckv1.AppliedEventPolicyRef) {
		for _, n := range names {
			refs = append(refs, eventingduckv1.AppliedEventPolicyRef{APIVersion: "eventing.knative.dev/v1alpha1", Name: n})
		}
		return refs
	}

	runBrokers(t, []row{{
		flags: oidcOn, issuer: says,
		TableRow: TableRow{
			Name: "a cluster that asks for identities", Key: key, WantErr: true, // looked at again, for the keys
			Objects:           standing(serving(firstGen), broker(readyBroker)),
			WantUpdates:       []clientgotesting.UpdateActionImpl{{Object: contractMap(t, guarded(nextGen, issuer, neighbours))}},
			WantStatusUpdates: status(broker(readyBroker, byDefault)),
		},
	}, {
		flags: feature.Flags{feature.OIDCAuthentication: feature.Enabled, feature.TransportEncryption: feature.Permissive}, issuer: says,
		TableRow: TableRow{
			Name: "the audience is in all addresses", Key: key, WantErr: true,
			Objects: secure(),
			WantStatusUpdates: status(broker(readyBroker, func(b *eventingv1.Broker) {
				b.Status.Addresses = []duckv1.Addressable{*httpsAddress(t), *b.Status.Address}
				withAudience(b)
				b.Status.MarkEventPoliciesTrueWithReason("DefaultAuthorizationMode", `Default authz mode is ""`)
			})),
		},
	}, {
		flags: oidcOn, issuer: says,
		TableRow: TableRow{
			Name: "policies take the default's place; one that is not ready allows nobody", Key: key, WantErr: true,
			Objects:     standing(guarded(firstGen, issuer, neighbours), broker(readyBroker), filtered, unready, others),
			WantUpdates: []clientgotesting.UpdateActionImpl{{Object: contractMap(t, guarded(nextGen, issuer, aliceOnly))}},
			WantStatusUpdates: status(broker(readyBroker, func(b *eventingv1.Broker) {
				withAudience(b)
				b.Status.Policies = applied("alice")
				b.Status.MarkEventPoliciesFailed("EventPoliciesNotReady", "event policies bob are not ready")
			})),
		},
	}, {
		flags: oidcOn, issuer: says,
		TableRow: TableRow{
			Name: "where none is ready nobody may post", Key: key, WantErr: true,
			Objects:     standing(guarded(firstGen, issuer, neighbours), broker(readyBroker), unready),
			WantUpdates: []clientgotesting.UpdateActionImpl{{Object: contractMap(t, guarded(nextGen, issuer))}},
			WantStatusUpdates: status(broker(readyBroker, func(b *eventingv1.Broker) {
				withAudience(b)
				b.Status.MarkEventPoliciesFailed("EventPoliciesNotReady", "event policies bob are not ready")
			})),
		},
	}, {
		flags: oidcOn, issuer: says,
		TableRow: TableRow{
			Name: "a filter that cannot be read allows nothing", Key: key, WantErr: true,
			Objects: standing(guarded(firstGen, issuer), broker(readyBroker), policy("alice", func(p *v1alpha1.EventPolicy) {
				p.Spec.Filters = []eventingv1.SubscriptionsAPIFilter{{CESQL: "("}}
			})),
			WantStatusUpdates: status(broker(readyBroker, func(b *eventingv1.Broker) {
				withAudience(b)
				b.Status.Policies = applied("alice")
				_, err := grantOf(policy("alice", func(p *v1alpha1.EventPolicy) {
					p.Spec.Filters = []eventingv1.SubscriptionsAPIFilter{{CESQL: "("}}
				}))
				b.Status.MarkEventPoliciesFailed("EventPolicyInvalid", "%s", err)
			})),
		},
	}, {
		flags: oidcOn,
		TableRow: TableRow{
			Name: "an issuer that cannot be asked: no address yet", Key: key, WantErr: true,
			Objects:     standing(serving(firstGen), broker(readyBroker)),
			WantUpdates: []clientgotesting.UpdateActionImpl{{Object: contractMap(t, guarded(nextGen, nil, neighbours))}},
			WantStatusUpdates: status(broker(readyBroker, byDefault, func(b *eventingv1.Broker) {
				b.Status.Address = nil
				mark(b).MarkUnknown(eventingv1.BrokerConditionAddressable, "IssuerUnknown",
					"The keys of the cluster's token issuer cannot be read yet: nobody could be let in")
			})),
		},
	}, {
		flags: oidcOn,
		TableRow: TableRow{
			Name: "one that could be asked before", Key: key, WantErr: true,
			Objects: standing(guarded(firstGen, issuer, neighbours), broker(readyBroker, byDefault)),
		},
	}, {
		TableRow: TableRow{
			Name: "without the flag a policy changes nothing", Key: key,
			Objects: plain(serving(firstGen), broker(readyBroker), filtered, unready),
		},
	}, {
		TableRow: TableRow{
			Name: "and it can be taken back", Key: key,
			Objects:           plain(guarded(firstGen, issuer, neighbours), broker(readyBroker, byDefault)),
			WantUpdates:       []clientgotesting.UpdateActionImpl{{Object: contractMap(t, serving(nextGen))}},
			WantStatusUpdates: status(broker(readyBroker)),
		},
	}})
}

func TestTheClustersDefaultForSenders(t *testing.T) {
	t.Parallel()
	for mode, want := range map[feature.Flag][]contract.Grant{
		feature.AuthorizationAllowAll:           {{Subjects: []string{"*"}}},
		feature.AuthorizationDenyAll:            nil,
		feature.AuthorizationAllowSameNamespace: {{Subjects: []string{"system:serviceaccount:shop:*"}}},
		"Allow-Whatever":                        {{Subjects: []string{"system:serviceaccount:shop:*"}}},
	} {
		require.Equal(t, want, byDefault(feature.Flags{feature.AuthorizationDefaultMode: mode}, ns), mode)
	}
}

func TestKeysOfTheIssuer(t *testing.T) {
	t.Parallel()
	one, two := accesstest.New(t), accesstest.New(t)
	says := map[string]string{discoveryPath: `{"issuer":"` + accesstest.URL + `"}`, keysPath: string(one.Keys)}
	i := row{issuer: says}.issuerOf()
	now := clock
	i.now = func() time.Time { return now }
	base := string(feature.DefaultOIDCDiscoveryBaseURL)
	get := func() string {
		known, err := i.of(t.Context(), base)
		require.NoError(t, err)
		require.Equal(t, accesstest.URL, known.url)
		return string(known.keys)
	}
	require.JSONEq(t, string(one.Keys), get())
	says[keysPath] = string(two.Keys)
	require.JSONEq(t, string(one.Keys), get(), "it is not asked all the time")
	now = now.Add(keysEvery)
	require.JSONEq(t, string(two.Keys), get())
	now = now.Add(keysEvery)
	says[keysPath] = `{}`
	require.JSONEq(t, string(two.Keys), get(), "what was known holds")
	delete(says, keysPath)
	require.JSONEq(t, string(two.Keys), get())

	for name, wrong := range map[string]map[string]string{
		"nothing":        {},
		"no issuer":      {discoveryPath: `{}`, keysPath: string(one.Keys)},
		"not JSON":       {discoveryPath: `<html>`, keysPath: string(one.Keys)},
		"no keys":        {discoveryPath: says[discoveryPath], keysPath: `{"keys":[]}`},
		"keys of no use": {discoveryPath: says[discoveryPath], keysPath: `{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`},
		"keys not JSON":  {discoveryPath: says[discoveryPath], keysPath: `x`},
	} {
		_, err := row{issuer: wrong}.issuerOf().of(t.Context(), base)
		require.Error(t, err, name)
	}
}

func TestAnotherIssuerIsAskedByHTTPSOnly(t *testing.T) {
	t.Parallel()
	keys := accesstest.New(t).Keys
	for uri, ok := range map[string]bool{"https://keys.example.com/jwks": true, "http://keys.example.com/jwks": false, "file:///etc/passwd": false} {
		i := row{}.issuerOf()
		i.web = newIssuer(nil, now).web // refuses what is not https before it asks
		asked := i.web
		i.web = func(ctx context.Context, address string) ([]byte, error) {
			switch {
			case address == "https://issuer.example.com/.well-known/openid-configuration":
				return []byte(`{"issuer":"https://issuer.example.com","jwks_uri":"` + uri + `"}`), nil
			case ok && address == uri:
				return keys, nil
			}
			return asked(ctx, address)
		}
		_, err := i.of(t.Context(), "https://issuer.example.com/")
		if ok {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, "must be https", uri)
		}
	}

}
