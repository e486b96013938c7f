package broker

import (
	"crypto/sha256"
	"encoding/hex"

	"k8s.io/apimachinery/pkg/labels"
	"knative.dev/eventing/pkg/apis/eventing"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/pkg/apis"
	"knative.dev/pkg/kmeta"
)

// Class is the value of the annotation eventing.knative.dev/broker.class that
// makes a Broker ours.
const Class = "RedisStreams"

// Conditions of a Broker of this class; Ready is all of them.
const (
	// ConditionConfig is true once spec.config was read and is sound.
	ConditionConfig apis.ConditionType = "ConfigReady"
	// ConditionIngress is true while an ingress pod stores events.
	ConditionIngress = eventingv1.BrokerConditionIngress
	// ConditionDispatcher is true while a dispatcher pod delivers them.
	ConditionDispatcher apis.ConditionType = "DispatcherReady"
)

// ManagedBySelector matches everything that the controller makes, and nothing
// else: its caches hold no more.
const ManagedBySelector = managedByLabel + "=" + managedBy

const (
	managedByLabel = "app.kubernetes.io/managed-by"
	managedBy      = "sweepline-broker-controller"
	componentLabel = "app.kubernetes.io/component"

	// brokerAnnotation names a pod's Broker in full; labels are cut at 63.
	brokerAnnotation = "sweepline.dev/broker"
	// contractAnnotation is changed on a pod to have its contract mounted now.
	contractAnnotation = "sweepline.dev/contract"
	// specAnnotation is the digest of what the controller wrote last: defaults
	// and other writers' fields are not its concern.
	specAnnotation = "sweepline.dev/spec"
)

// The two Deployments of a data plane. A role is also their component label.
const (
	roleIngress    = "ingress"
	roleDispatcher = "dispatcher"
)

// registerConditions makes Eventing's Broker type know the conditions of this
// class. It is global, so only a process that serves no other class may do it.
func registerConditions() {
	eventingv1.RegisterAlternateBrokerConditionSet(apis.NewLivingConditionSet(
		ConditionConfig,
		ConditionIngress,
		ConditionDispatcher,
		eventingv1.BrokerConditionAddressable,
		eventingv1.BrokerConditionDeadLetterSinkResolved,
		eventingv1.BrokerConditionEventPoliciesReady,
	))
}

func ours(b *eventingv1.Broker) bool { return b.Annotations[eventing.BrokerClassKey] == Class }

// belongs reports whether the Trigger is one of the Broker's. A Trigger that
// names a Broker of another namespace (spec.brokerRef) is not served.
func belongs(t *eventingv1.Trigger, b *eventingv1.Broker) bool {
	return t.Namespace == b.Namespace && t.Spec.BrokerRef == nil && t.Spec.Broker == b.Name
}

func ingressName(b *eventingv1.Broker) string { return kmeta.ChildName(b.Name, "-broker-ingress") }
func dispatcherName(b *eventingv1.Broker) string {
	return kmeta.ChildName(b.Name, "-broker-dispatcher")
}
func contractName(b *eventingv1.Broker) string { return kmeta.ChildName(b.Name, "-broker-contract") }

// tokensName is no other object's by chance: the Secret is written without a look at
// what is there.
func tokensName(b *eventingv1.Broker) string {
	sum := sha256.Sum256([]byte(b.UID))
	return kmeta.ChildName(b.Name, "-broker-tokens-"+hex.EncodeToString(sum[:6]))
}

// labelsOf are on everything that is made for the Broker.
func labelsOf(b *eventingv1.Broker) map[string]string {
	return map[string]string{
		"app.kubernetes.io/name": "sweepline-broker",
		managedByLabel:           managedBy,
		eventing.BrokerLabelKey:  kmeta.ChildName(b.Name, ""),
	}
}

// labelsOfRole are on one role's pods, and select them.
func labelsOfRole(b *eventingv1.Broker, role string) map[string]string {
	l := labelsOf(b)
	l[componentLabel] = role
	return l
}

func selector(l map[string]string) labels.Selector { return labels.SelectorFromSet(l) }
