package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/eventing/pkg/apis/eventing/v1alpha1"
	"knative.dev/eventing/pkg/apis/feature"
	"knative.dev/eventing/pkg/auth"

	"github.com/zixly/sweepline/knative/contract"
	"github.com/zixly/sweepline/shared/broker/filter"
)

var brokerKind = eventingv1.SchemeGroupVersion.WithKind("Broker")

// access says who may post to the Broker: nil, everybody, where authentication-oidc is
// off. It reports the EventPolicies that apply. The error says that the issuer's keys
// are not known; then the Access has none, or those of before.
func (r *brokers) access(ctx context.Context, b *eventingv1.Broker) (*contract.Access, error) {
	flags := feature.FromContext(ctx)
	if !flags.IsOIDCAuthentication() {
		b.Status.Policies = nil
		b.Status.MarkEventPoliciesTrueWithReason("OIDCDisabled", "EventPolicies need %s", feature.OIDCAuthentication)
		return nil, nil //nolint:nilnil // nobody is asked who it is
	}
	grants, err := r.grants(flags, b)
	if err != nil {
		return nil, err
	}
	a := &contract.Access{Audience: auth.GetAudience(brokerKind, b.ObjectMeta), Allow: grants}
	known, err := r.issuer.of(ctx, flags.OIDCDiscoveryBaseURL())
	if err == nil {
		a.Issuer, a.Keys = known.url, known.keys
		return a, nil
	}
	old, failed := r.contractOf(b)
	if failed != nil {
		return nil, failed
	}
	if old.Access != nil {
		a.Issuer, a.Keys = old.Access.Issuer, old.Access.Keys
	}
	if len(a.Keys) > 0 {
		return a, nil
	}
	return a, issuerError{err}
}

// issuerError says that senders cannot be told apart yet.
type issuerError struct{ error }

// grants are what the EventPolicies that apply allow, or the cluster's default where
// none does. One that is not ready allows nothing, and still is one.
func (r *brokers) grants(flags feature.Flags, b *eventingv1.Broker) ([]contract.Grant, error) {
	policies, err := auth.GetEventPoliciesForResource(r.policies, brokerKind, b.ObjectMeta)
	if err != nil {
		b.Status.MarkEventPoliciesFailed("EventPoliciesGetFailed", "%s", err)
		return nil, fmt.Errorf("find event policies: %w", err)
	}
	if err := auth.UpdateStatusWithProvidedEventPolicies(flags, &b.Status.AppliedEventPoliciesStatus, &b.Status, policies); err != nil {
		return nil, err
	}
	if len(policies) == 0 {
		return byDefault(flags, b.Namespace), nil
	}
	var grants []contract.Grant
	for _, p := range policies {
		if !p.Status.IsReady() {
			continue
		}
		g, err := grantOf(p)
		if err != nil {
			b.Status.MarkEventPoliciesFailed("EventPolicyInvalid", "%s", err)
			continue
		}
		if len(g.Subjects) > 0 {
			grants = append(grants, g)
		}
	}
	return grants, nil
}

func grantOf(p *v1alpha1.EventPolicy) (contract.Grant, error) {
	g := contract.Grant{Policy: p.Name, Subjects: slices.Sorted(slices.Values(p.Status.From))}
	if len(p.Spec.Filters) == 0 {
		return g, nil
	}
	var err error
	if g.Filters, err = json.Marshal(p.Spec.Filters); err != nil {
		return g, fmt.Errorf("encode filters of %s: %w", p.Name, err)
	}
	if _, err := filter.Parse(string(g.Filters)); err != nil {
		return g, fmt.Errorf("%s: %w", p.Name, err)
	}
	return g, nil
}

// byDefault is what default-authorization-mode allows.
func byDefault(flags feature.Flags, namespace string) []contract.Grant {
	switch {
	case flags.IsAuthorizationDefaultModeDenyAll():
		return nil
	case flags.IsAuthorizationDefaultModeAllowAll():
		return []contract.Grant{{Subjects: []string{"*"}}}
	}
	return []contract.Grant{{Subjects: []string{"system:serviceaccount:" + namespace + ":*"}}}
}
