package broker

import (
	"context"

	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/eventing/pkg/apis/feature"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"
	"knative.dev/pkg/network"

	"github.com/zixly/sweepline/knative/contract"
)

// encryption says on which ports an ingress takes events.
type encryption struct{ plain, tls bool }

// encryptionOf follows transport-encryption of config-features, as far as the
// Broker has a certificate: Disabled, http; Permissive, both; Strict, https. A Broker may
// be strict by itself.
func encryptionOf(ctx context.Context, s Settings) encryption {
	flags := feature.FromContext(ctx)
	switch {
	case s.Strict, s.TLSSecret != "" && flags.IsStrictTransportEncryption():
		return encryption{tls: true}
	case s.TLSSecret != "" && flags.IsPermissiveTransportEncryption():
		return encryption{plain: true, tls: true}
	default:
		return encryption{plain: true}
	}
}

// setAddress publishes the cluster-local URLs of the ingress, in the order that
// Knative prescribes: status.address is http unless the cluster is strict,
// status.addresses lists https first. With access, each names the audience that a token
// must be for.
func (r *brokers) setAddress(ctx context.Context, b *eventingv1.Broker, s Settings, access *contract.Access) {
	if access != nil && len(access.Keys) == 0 {
		b.Status.Address, b.Status.Addresses = nil, nil
		mark(b).MarkUnknown(eventingv1.BrokerConditionAddressable, "IssuerUnknown",
			"The keys of the cluster's token issuer cannot be read yet: nobody could be let in")
		return
	}
	how := encryptionOf(ctx, s)
	if feature.FromContext(ctx).IsStrictTransportEncryption() && !how.tls {
		b.Status.Address, b.Status.Addresses = nil, nil
		mark(b).MarkFalse(eventingv1.BrokerConditionAddressable, "TransportEncryptionStrict",
			"config-features asks for https only: name a certificate in the key tls-secret of spec.config")
		return
	}
	host, path := network.GetServiceHostname(ingressName(b), b.Namespace), "/"+b.Namespace+"/"+b.Name
	plain := duckv1.Addressable{Name: ptr("http"), URL: &apis.URL{Scheme: "http", Host: host, Path: path}}
	secure := duckv1.Addressable{Name: ptr("https"), URL: &apis.URL{Scheme: "https", Host: host, Path: path}, CACerts: s.CACerts}
	if access != nil {
		plain.Audience, secure.Audience = &access.Audience, &access.Audience
	}
	switch {
	case how.tls && how.plain:
		b.Status.SetAddress(&plain)
		b.Status.Addresses = []duckv1.Addressable{secure, plain}
	case how.tls:
		b.Status.SetAddress(&secure)
		b.Status.Addresses = []duckv1.Addressable{secure}
	default:
		b.Status.SetAddress(&plain)
	}
}
