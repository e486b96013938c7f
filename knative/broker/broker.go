package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrs "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	brokerreconciler "knative.dev/eventing/pkg/client/injection/reconciler/eventing/v1/broker"
	eventinglisters "knative.dev/eventing/pkg/client/listers/eventing/v1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/reconciler"
	"knative.dev/pkg/resolver"
	"knative.dev/pkg/tracker"

	"github.com/zixly/sweepline/knative/contract/write"
)

const (
	// ackEvery is how soon pods that lag are asked again.
	ackEvery = 500 * time.Millisecond
	// purgeWithin is how long a deleted Broker waits for a data plane that is
	// not there to clean up after it.
	purgeWithin = 30 * time.Second
)

// brokers reconciles Brokers of the class.
type brokers struct {
	*dataPlane
	triggers eventinglisters.TriggerLister
	resolver *resolver.URIResolver
	tracker  tracker.Interface
	// system is the controller's own namespace.
	system string
}

var (
	_ brokerreconciler.Interface = (*brokers)(nil)
	_ brokerreconciler.Finalizer = (*brokers)(nil)
)

// ReconcileKind brings up the Broker's data plane and tells it what to serve:
//
//  1. read spec.config
//  2. resolve the dead letter sink
//  3. write the contract: the Broker and all Triggers that are resolved
//  4. apply the Service and the Deployments, whose pods mount it
//  5. touch the pods, so that they see a new contract at once
//  6. report how the pods do, and the address
//
// What is found wrong is a condition; the steps after it go on where they can,
// so that a running data plane keeps running.
func (r *brokers) ReconcileKind(ctx context.Context, b *eventingv1.Broker) reconciler.Event {
	settings, err := r.settings(b)
	if err != nil {
		mark(b).MarkFalse(ConditionConfig, "ConfigInvalid", "%s", err)
		if _, err := r.deployments.Deployments(b.Namespace).Get(ingressName(b)); apierrs.IsNotFound(err) {
			mark(b).MarkUnknown(ConditionIngress, "ConfigInvalid", "Waiting for a valid spec.config")
			mark(b).MarkUnknown(ConditionDispatcher, "ConfigInvalid", "Waiting for a valid spec.config")
		}
		return reconciler.NewEvent(corev1.EventTypeWarning, "ConfigInvalid", "spec.config: %w", err)
	}
	mark(b).MarkTrue(ConditionConfig)

	unresolved := r.resolveDeadLetterSink(ctx, b)

	c, err := r.updateContract(ctx, b)
	if err != nil {
		return err
	}
	ingress, dispatcher, err := r.apply(ctx, b, settings)
	if err != nil {
		mark(b).MarkFalse(ConditionIngress, "DataPlaneFailed", "%s", err)
		return err
	}
	if err := r.touch(ctx, b, c); err != nil {
		return err
	}
	if err := errors.Join(
		r.report(b, ingress, roleIngress, ConditionIngress),
		r.report(b, dispatcher, roleDispatcher, ConditionDispatcher),
	); err != nil {
		return err
	}
	r.setAddress(ctx, b, settings)
	return unresolved
}

// settings reads the ConfigMap that spec.config names, and has the Broker
// reconciled again when it changes or comes to be.
func (r *brokers) settings(b *eventingv1.Broker) (Settings, error) {
	ref := b.Spec.Config
	if ref == nil {
		return Settings{}, errors.New("is missing: it must name a ConfigMap")
	}
	if ref.Kind != "ConfigMap" || ref.APIVersion != "v1" {
		return Settings{}, fmt.Errorf("is a %s %s, not a v1 ConfigMap", ref.APIVersion, ref.Kind)
	}
	namespace := ref.Namespace
	if namespace == "" {
		namespace = b.Namespace
	}
	// Whoever may make a Broker here need not be one who may read there. The
	// controller's own namespace is where Eventing's defaults point to.
	if namespace != b.Namespace && namespace != r.system {
		return Settings{}, fmt.Errorf("names a ConfigMap of namespace %s: it must be one of %s", namespace, b.Namespace)
	}
	if err := r.tracker.TrackReference(tracker.Reference{
		APIVersion: ref.APIVersion, Kind: ref.Kind, Namespace: namespace, Name: ref.Name,
	}, b); err != nil {
		return Settings{}, fmt.Errorf("track ConfigMap: %w", err)
	}
	cm, err := r.configMaps.ConfigMaps(namespace).Get(ref.Name)
	if err != nil {
		return Settings{}, err
	}
	s, err := readSettings(cm.Data)
	if err != nil {
		return s, fmt.Errorf("ConfigMap %s/%s: %w", namespace, ref.Name, err)
	}
	return s, nil
}

func (r *brokers) resolveDeadLetterSink(ctx context.Context, b *eventingv1.Broker) error {
	if b.Spec.Delivery == nil || b.Spec.Delivery.DeadLetterSink == nil {
		b.Status.MarkDeadLetterSinkNotConfigured()
		return nil
	}
	address, err := r.resolver.AddressableFromDestinationV1(ctx, in(b.Namespace, *b.Spec.Delivery.DeadLetterSink), b)
	if err != nil {
		b.Status.MarkDeadLetterSinkResolvedFailed("DeadLetterSinkUnresolved", "%v", err)
		return unresolved("dead letter sink", err)
	}
	b.Status.MarkDeadLetterSinkResolvedSucceeded(eventingduckv1.NewDeliveryStatusFromAddressable(address))
	return nil
}

func (r *brokers) updateContract(ctx context.Context, b *eventingv1.Broker) (write.Contract, error) {
	old, err := r.contractOf(b)
	if err != nil {
		return old, err
	}
	triggers, err := r.triggers.Triggers(b.Namespace).List(labels.Everything())
	if err != nil {
		return old, fmt.Errorf("list triggers: %w", err)
	}
	return r.put(ctx, b, old, compose(b, triggers, old))
}

func (r *brokers) apply(ctx context.Context, b *eventingv1.Broker, s Settings) (ingress, dispatcher *appsv1.Deployment, err error) {
	how := encryptionOf(ctx, s)
	service, err := makeService(b, how)
	if err != nil {
		return nil, nil, err
	}
	if err := r.applyService(ctx, b, service); err != nil {
		return nil, nil, err
	}
	wantIngress, err := makeDeployment(b, s, how, roleIngress, r.image)
	if err != nil {
		return nil, nil, err
	}
	wantDispatcher, err := makeDeployment(b, s, how, roleDispatcher, r.image)
	if err != nil {
		return nil, nil, err
	}
	if ingress, err = r.applyDeployment(ctx, b, wantIngress); err != nil {
		return nil, nil, err
	}
	dispatcher, err = r.applyDeployment(ctx, b, wantDispatcher)
	return ingress, dispatcher, err
}

// report marks how a role's pods do. Where none is ready, it says why as far as
// the pods tell.
func (r *brokers) report(b *eventingv1.Broker, d *appsv1.Deployment, role string, condition apis.ConditionType) error {
	if d.Status.AvailableReplicas > 0 {
		mark(b).MarkTrue(condition)
		return nil
	}
	reason, message, err := r.trouble(b, role)
	if err != nil {
		return err
	}
	if reason != "" {
		mark(b).MarkFalse(condition, reason, "%s", message)
		return nil
	}
	if d.Spec.Replicas != nil && *d.Spec.Replicas == 0 {
		mark(b).MarkFalse(condition, "NoReplicas", "Deployment %s is scaled to zero", d.Name)
		return nil
	}
	mark(b).MarkUnknown(condition, "NotAvailable", "Deployment %s has no pod that is ready", d.Name)
	return nil
}

// FinalizeKind has the data plane stop and remove what Redis holds of the
// Broker. The objects go with it by their owner reference.
func (r *brokers) FinalizeKind(ctx context.Context, b *eventingv1.Broker) reconciler.Event {
	old, err := r.contractOf(b)
	if err != nil {
		return err
	}
	if old.Generation == 0 { // there never was a data plane
		return nil
	}
	c, err := r.put(ctx, b, old, write.Contract{Purge: b.Namespace + "/" + b.Name})
	if err != nil {
		return err
	}
	if err := r.touch(ctx, b, c); err != nil {
		return err
	}
	n, lag := r.served(ctx, b, c.Generation)
	if lag == nil && n > 0 {
		return reconciler.NewEvent(corev1.EventTypeNormal, "StreamsRemoved", "Removed all that Redis held of the Broker")
	}
	if r.now().Sub(b.DeletionTimestamp.Time) < purgeWithin {
		return controller.NewRequeueAfter(ackEvery)
	}
	controller.GetEventRecorder(ctx).Eventf(b, corev1.EventTypeWarning, "StreamsKept",
		"Redis still holds the Broker's streams: its data plane did not answer")
	return nil
}

func mark(b *eventingv1.Broker) apis.ConditionManager {
	return b.GetConditionSet().Manage(&b.Status)
}

// in gives the destination's ref the namespace it has when it names none.
func in(namespace string, d duckv1.Destination) duckv1.Destination {
	if d.Ref != nil && d.Ref.Namespace == "" {
		ref := *d.Ref
		ref.Namespace = namespace
		d.Ref = &ref
	}
	return d
}

// unresolved is an event, and an error, so that it is tried again: not every
// kind that is missing can be tracked.
func unresolved(what string, err error) error {
	return fmt.Errorf("%w", reconciler.NewEvent(corev1.EventTypeWarning, "Unresolved", "Resolve %s: %w", what, err))
}
