package broker

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrs "k8s.io/apimachinery/pkg/api/errors"
	corev1listers "k8s.io/client-go/listers/core/v1"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/eventing/pkg/apis/feature"
	"knative.dev/eventing/pkg/auth"
	triggerreconciler "knative.dev/eventing/pkg/client/injection/reconciler/eventing/v1/trigger"
	eventinglisters "knative.dev/eventing/pkg/client/listers/eventing/v1"
	"knative.dev/eventing/pkg/duck"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/reconciler"
	"knative.dev/pkg/resolver"
)

// triggers reconciles the Triggers of Brokers of the class. It writes status
// only: the contract is the Broker's, which is reconciled whenever one of its
// Triggers changes.
type triggers struct {
	*dataPlane
	brokers  eventinglisters.BrokerLister
	resolver *resolver.URIResolver
	accounts corev1listers.ServiceAccountLister
	// sources follows what Triggers depend on.
	sources duck.ListableTracker
}

var (
	_ triggerreconciler.Interface = (*triggers)(nil)
	_ triggerreconciler.Finalizer = (*triggers)(nil)
)

// ReconcileKind resolves where the Trigger sends to, and then watches the
// contract and the pods until all of them serve it:
//
//  1. find the Broker and take over its condition
//  2. make the ServiceAccount that its deliveries come from
//  3. resolve the subscriber
//  4. resolve the dead letter sink
//  5. follow what it depends on
//  6. wait for the entry in the contract
//  7. wait for the pods to serve it: from now on no match is missed
func (r *triggers) ReconcileKind(ctx context.Context, t *eventingv1.Trigger) reconciler.Event {
	b, err := r.brokers.Brokers(t.Namespace).Get(t.Spec.Broker)
	if apierrs.IsNotFound(err) {
		t.Status.MarkBrokerFailed("BrokerDoesNotExist", "Broker %q does not exist", t.Spec.Broker)
		return nil // it is enqueued again when there is one
	}
	if err != nil {
		return fmt.Errorf("get broker: %w", err)
	}
	if !ours(b) {
		return nil
	}
	t.Status.PropagateBrokerCondition(b.Status.GetTopLevelCondition())
	identity := r.identity(ctx, t)

	// All are tried, so that the status says all that is missing.
	dependency := r.follow(ctx, t)
	if err := errors.Join(r.resolveSubscriber(ctx, t), r.resolveDeadLetterSink(ctx, t, b)); err != nil {
		t.Status.MarkSubscribedUnknown("Unresolved", "The subscriber or the dead letter sink cannot be resolved yet")
		return again(ctx, errors.Join(err, dependency))
	}
	if err := r.subscribe(ctx, t, b); err != nil {
		return err
	}
	if identity != nil {
		return expected(identity)
	}
	return again(ctx, dependency)
}

func (r *triggers) resolveSubscriber(ctx context.Context, t *eventingv1.Trigger) error {
	address, err := r.resolver.AddressableFromDestinationV1(ctx, in(t.Namespace, t.Spec.Subscriber), t)
	if err != nil {
		t.Status.SubscriberURI, t.Status.SubscriberCACerts, t.Status.SubscriberAudience = nil, nil, nil
		t.Status.MarkSubscriberResolvedFailed("SubscriberUnresolved", "%v", err)
		return fmt.Errorf("subscriber: %w", err)
	}
	t.Status.SubscriberURI, t.Status.SubscriberCACerts = address.URL, address.CACerts
	t.Status.SubscriberAudience = address.Audience
	t.Status.MarkSubscriberResolvedSucceeded()
	return nil
}

// resolveDeadLetterSink takes the sink of the delivery that holds for the
// Trigger; a Broker's own was resolved with the Broker.
func (r *triggers) resolveDeadLetterSink(ctx context.Context, t *eventingv1.Trigger, b *eventingv1.Broker) error {
	t.Status.DeliveryStatus = eventingduckv1.DeliveryStatus{}
	d := delivery(t, b)
	switch {
	case d == nil || d.DeadLetterSink == nil:
		t.Status.MarkDeadLetterSinkNotConfigured()
	case t.Spec.Delivery != nil:
		address, err := r.resolver.AddressableFromDestinationV1(ctx, in(t.Namespace, *d.DeadLetterSink), t)
		if err != nil {
			t.Status.MarkDeadLetterSinkResolvedFailed("DeadLetterSinkUnresolved", "%v", err)
			return fmt.Errorf("dead letter sink: %w", err)
		}
		t.Status.DeliveryStatus = eventingduckv1.NewDeliveryStatusFromAddressable(address)
		t.Status.MarkDeadLetterSinkResolvedSucceeded()
	case !b.Status.IsSet():
		t.Status.MarkDeadLetterSinkResolvedFailed("BrokerDeadLetterSinkUnresolved", "Broker %s has no dead letter sink yet", b.Name)
		return errors.New("dead letter sink: the Broker's is not resolved")
	default:
		t.Status.DeliveryStatus = b.Status.DeliveryStatus
		t.Status.MarkDeadLetterSinkResolvedSucceeded()
	}
	return nil
}

var triggerKind = eventingv1.SchemeGroupVersion.WithKind("Trigger")

// identity makes the ServiceAccount that deliveries come from, where the cluster wants
// them to come from one. It goes with the Trigger.
func (r *triggers) identity(ctx context.Context, t *eventingv1.Trigger) error {
	flags := feature.FromContext(ctx)
	if !flags.IsOIDCAuthentication() {
		t.Status.Auth = nil
		t.Status.MarkOIDCIdentityCreatedSucceededWithReason("OIDCDisabled", "")
		return nil
	}
	err := auth.SetupOIDCServiceAccount(ctx, flags, r.accounts, r.kube, triggerKind, t.ObjectMeta, &t.Status, func(a *duckv1.AuthStatus) { t.Status.Auth = a })
	if apierrs.IsForbidden(err) && expected(err) != nil {
		t.Status.MarkOIDCIdentityCreatedFailed("Forbidden",
			"The controller may not make identities in this namespace: bind the ClusterRole sweepline-broker-identities to it here")
	}
	return err
}

func (r *triggers) subscribe(ctx context.Context, t *eventingv1.Trigger, b *eventingv1.Broker) reconciler.Event {
	want, err := entry(t, b)
	if err != nil {
		t.Status.MarkNotSubscribed("TriggerInvalid", "%s", err)
		return reconciler.NewEvent(corev1.EventTypeWarning, "TriggerInvalid", "%w", err)
	}
	if w := waitsFor(t); w != nil {
		t.Status.MarkSubscribedUnknown(w.Reason, "The Trigger waits for %s: %s", w.Type, w.Message)
		return nil // a change of the condition is one of the Trigger
	}
	c, err := r.contractOf(b)
	if err != nil {
		return err
	}
	if got, ok := find(c, t); !ok || !sameEntry(got, want) {
		t.Status.MarkSubscribedUnknown("ContractPending", "The data plane has not been told of the Trigger yet")
		return nil // a change of the contract enqueues it again
	}
	n, err := r.served(ctx, b, c.Generation)
	if err != nil {
		t.Status.MarkSubscribedUnknown("DataPlanePending", "%s", err)
		return controller.NewRequeueAfter(ackEvery)
	}
	if n == 0 {
		t.Status.MarkSubscribedUnknown("DataPlaneNotReady", "No pod of the Broker's data plane is ready")
		return nil // a change of the Broker enqueues it again
	}
	t.Status.PropagateSubscriptionCondition(&apis.Condition{Status: corev1.ConditionTrue})
	return nil
}

// FinalizeKind holds the Trigger until its group is destroyed, so that a new one
// of the same name starts from its own beginning.
func (r *triggers) FinalizeKind(ctx context.Context, t *eventingv1.Trigger) reconciler.Event {
	b, err := r.brokers.Brokers(t.Namespace).Get(t.Spec.Broker)
	if apierrs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("get broker: %w", err)
	}
	if !ours(b) || !b.DeletionTimestamp.IsZero() {
		return nil
	}
	c, err := r.contractOf(b)
	if err != nil {
		return err
	}
	if _, ok := find(c, t); ok {
		return controller.NewRequeueAfter(ackEvery)
	}
	n, err := r.served(ctx, b, c.Generation)
	switch {
	case err == nil && n > 0:
		return nil
	case r.now().Sub(t.DeletionTimestamp.Time) < purgeWithin:
		return controller.NewRequeueAfter(ackEvery)
	}
	// Whoever starts first reads the contract and destroys the group then.
	return nil
}
