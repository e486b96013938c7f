package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"github.com/zixly/sweepline/knative/contract/write"
	"github.com/zixly/sweepline/shared/broker/manifest"
)

// annotationPrefix is that of the annotations a data plane understands.
const annotationPrefix = "sweepline.dev/"

// Why a Trigger has no entry in its contract yet.
var (
	errUnresolved = errors.New("its subscriber or dead letter sink is not resolved yet")
	errInvalid    = errors.New("it is not valid")
)

// entry is the Trigger as it stands in the contract: what the data plane needs,
// with the URIs that its status holds. The error wraps errUnresolved or
// errInvalid; an invalid entry does not get into a contract: the data plane would
// know no more than that it is invalid.
func entry(t *eventingv1.Trigger, b *eventingv1.Broker) (eventingv1.Trigger, error) {
	out := eventingv1.Trigger{
		TypeMeta:   typeMeta("Trigger"),
		ObjectMeta: metav1.ObjectMeta{Namespace: t.Namespace, Name: t.Name, UID: t.UID, Annotations: settingsOf(t.Annotations)},
		Spec: eventingv1.TriggerSpec{
			Broker: t.Spec.Broker, Filter: t.Spec.Filter, Filters: t.Spec.Filters,
			Subscriber: duckv1.Destination{URI: t.Status.SubscriberURI, CACerts: t.Status.SubscriberCACerts},
		},
	}
	if t.Status.Auth != nil { // the cluster wants identities
		out.Status.Auth = t.Status.Auth
		out.Spec.Subscriber.Audience = t.Status.SubscriberAudience
	}
	if t.Status.SubscriberURI == nil {
		return out, errUnresolved
	}
	var err error
	if out.Spec.Delivery, err = resolvedDelivery(t, b); err != nil {
		return out, err
	}
	if err := checkEntry(&out); err != nil {
		return out, fmt.Errorf("%w: %w", errInvalid, err)
	}
	return out, nil
}

// checkEntry reads an entry as a data plane will.
func checkEntry(t *eventingv1.Trigger) error {
	text, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("encode entry: %w", err)
	}
	read, err := manifest.ReadTrigger(text)
	if err != nil {
		return err
	}
	_, err = manifest.Build(read, nil, manifest.Options{})
	return err
}

// delivery is what holds for the Trigger: its own spec.delivery, or else the
// Broker's; the one replaces the other as a whole.
func delivery(t *eventingv1.Trigger, b *eventingv1.Broker) *eventingduckv1.DeliverySpec {
	if t.Spec.Delivery != nil {
		return t.Spec.Delivery
	}
	return b.Spec.Delivery
}

func resolvedDelivery(t *eventingv1.Trigger, b *eventingv1.Broker) (*eventingduckv1.DeliverySpec, error) {
	d := delivery(t, b).DeepCopy()
	if d == nil || d.DeadLetterSink == nil {
		return d, nil
	}
	if t.Status.DeadLetterSinkURI == nil {
		return nil, errUnresolved
	}
	d.DeadLetterSink = &duckv1.Destination{URI: t.Status.DeadLetterSinkURI, CACerts: t.Status.DeadLetterSinkCACerts}
	if t.Status.Auth != nil {
		d.DeadLetterSink.Audience = t.Status.DeadLetterSinkAudience
	}
	return d, nil
}

// brokerEntry is the Broker as it stands in the contract. Its delivery is in the
// entries of its Triggers already.
func brokerEntry(b *eventingv1.Broker) *eventingv1.Broker {
	return &eventingv1.Broker{
		TypeMeta:   typeMeta("Broker"),
		ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: b.Name, UID: b.UID},
	}
}

func typeMeta(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: eventingv1.SchemeGroupVersion.String(), Kind: kind}
}

func settingsOf(annotations map[string]string) map[string]string {
	var out map[string]string
	for k, v := range annotations {
		if strings.HasPrefix(k, annotationPrefix) {
			if out == nil {
				out = make(map[string]string)
			}
			out[k] = v
		}
	}
	return out
}

// sameEntry compares entries as they are written.
func sameEntry(a, b eventingv1.Trigger) bool {
	return write.Same(write.Contract{Triggers: []eventingv1.Trigger{a}}, write.Contract{Triggers: []eventingv1.Trigger{b}})
}
