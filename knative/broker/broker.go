package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrs "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/eventing/pkg/apis/feature"
	brokerreconciler "knative.dev/eventing/pkg/client/injection/reconciler/eventing/v1/broker"
	eventinglisters "knative.dev/eventing/pkg/client/listers/eventing/v1"
	eventingv1alpha1listers "knative.dev/eventing/pkg/client/listers/eventing/v1alpha1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/logging"
	"knative.dev/pkg/reconciler"
	"knative.dev/pkg/resolver"
	"knative.dev/pkg/tracker"

	"github.com/zixly/sweepline/knative/contract"
	"github.com/zixly/sweepline/knative/contract/write"
	"github.com/zixly/sweepline/knative/health"
)

const (
	// ackEvery is how soon pods that lag are asked again.
	ackEvery = 500 * time.Millisecond
	// cacheLag is how soon a write is repeated that failed for what the caches had not
	// seen yet.
	cacheLag = 200 * time.Millisecond
	// resolveEvery is how soon what cannot be resolved is tried again: not every kind
	// that is missing can be tracked.
	resolveEvery = 5 * time.Second
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
	// policies say who may post, issuer who that is.
	policies eventingv1alpha1listers.EventPolicyLister
	issuer   *issuer
	// tokens are what deliveries prove their identities with.
	tokens *tokens
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
//  3. find who may post
//  4. write the contract: the Broker and all Triggers that are resolved, and the tokens
//     of their deliveries
//  5. apply the Service and the Deployments, whose pods mount it
//  6. touch the pods, so that they see a new contract at once
//  7. report how the pods do, and the address
//
// What is found wrong is a condition; the steps after it go on where they can,
// so that a running data plane keeps running.
func (r *brokers) ReconcileKind(ctx context.Context, b *eventingv1.Broker) reconciler.Event {
	return expected(r.reconcile(ctx, b))
}

// expected takes what happens in any cluster for no failure: a cache that is behind,
// and a namespace that is being deleted, which takes the Broker along.
func expected(err error) error {
	switch {
	case err == nil, apierrs.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil
	case apierrs.IsConflict(err), apierrs.IsAlreadyExists(err):
		return controller.NewRequeueAfter(cacheLag)
	}
	return err
}

func (r *brokers) reconcile(ctx context.Context, b *eventingv1.Broker) error {
	settings, err := r.settings(b)
	if err != nil {
		mark(b).MarkFalse(ConditionConfig, "ConfigInvalid", "%s", err)
		if _, err := r.deployments.Deployments(b.Namespace).Get(ingressName(b)); apierrs.IsNotFound(err) {
			mark(b).MarkUnknown(ConditionIngress, "ConfigInvalid", "Waiting for a valid spec.config")
			mark(b).MarkUnknown(ConditionDispatcher, "ConfigInvalid", "Waiting for a valid spec.config")
		}
		if apierrs.IsNotFound(err) {
			return nil // it is reconciled again when there is one; they are often made together
		}
		return reconciler.NewEvent(corev1.EventTypeWarning, "ConfigInvalid", "spec.config: %w", err)
	}
	mark(b).MarkTrue(ConditionConfig)

	unresolved := r.resolveDeadLetterSink(ctx, b)

	access, err := r.access(ctx, b)
	var issuer issuerError
	if err != nil && !errors.As(err, &issuer) {
		return err
	}
	c, unproven, err := r.updateContract(ctx, b, access)
	if apierrs.IsForbidden(err) && expected(err) != nil {
		mark(b).MarkFalse(ConditionIngress, "Forbidden", "The controller may not write in this namespace: bind the ClusterRole sweepline-broker-dataplane to it here")
	}
	if err != nil {
		return err
	}
	ingress, dispatcher, err := r.apply(ctx, b, settings)
	if err != nil {
		if !errors.Is(expected(err), err) {
			return err
		}
		mark(b).MarkFalse(ConditionIngress, "DataPlaneFailed", "%s", err)
		return err
	}
	if err := r.touch(ctx, b, c); err != nil {
		return err
	}
	if err := errors.Join(
		r.report(ctx, b, ingress, roleIngress, ConditionIngress),
		r.report(ctx, b, dispatcher, roleDispatcher, ConditionDispatcher),
		r.reportEndpoints(b),
	); err != nil {
		return err
	}
	r.setAddress(ctx, b, settings, access)
	if unproven != nil {
		return unproven
	}
	if err := again(ctx, errors.Join(unresolved, issuer.error)); err != nil {
		return err
	}
	if access != nil {
		return controller.NewRequeueAfter(keysEvery)
	}
	return nil
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
	if s.CACertsFrom != "" {
		s.CACerts, err = r.authorities(b, s.CACertsFrom)
	}
	return s, err
}

// authorities are the certificates of a ConfigMap beside the Broker, which is followed.
func (r *brokers) authorities(b *eventingv1.Broker, name string) (*string, error) {
	if err := r.tracker.TrackReference(tracker.Reference{
		APIVersion: "v1", Kind: "ConfigMap", Namespace: b.Namespace, Name: name,
	}, b); err != nil {
		return nil, fmt.Errorf("track ConfigMap: %w", err)
	}
	cm, err := r.configMaps.ConfigMaps(b.Namespace).Get(name)
	if err != nil {
		return nil, fmt.Errorf("ca-certs-from: %w", err)
	}
	certs, err := certificates(cm.Data[caKey])
	if err != nil {
		return nil, fmt.Errorf("ca-certs-from: ConfigMap %s: %s: %w", name, caKey, err)
	}
	return certs, nil
}

func (r *brokers) resolveDeadLetterSink(ctx context.Context, b *eventingv1.Broker) error {
	if b.Spec.Delivery == nil || b.Spec.Delivery.DeadLetterSink == nil {
		b.Status.MarkDeadLetterSinkNotConfigured()
		return nil
	}
	address, err := r.resolver.AddressableFromDestinationV1(ctx, in(b.Namespace, *b.Spec.Delivery.DeadLetterSink), b)
	if err != nil {
		b.Status.MarkDeadLetterSinkResolvedFailed("DeadLetterSinkUnresolved", "%v", err)
		return fmt.Errorf("dead letter sink: %w", err)
	}
	if address.URL.Scheme != "http" && address.URL.Scheme != "https" { // or each Trigger would be invalid for it
		b.Status.MarkDeadLetterSinkResolvedFailed("DeadLetterSinkUnusable", "%s must be an http or https URL", address.URL)
		return nil
	}
	b.Status.MarkDeadLetterSinkResolvedSucceeded(eventingduckv1.NewDeliveryStatusFromAddressable(address))
	return nil
}

// updateContract gives the contract in force. unproven says which Triggers are not as
// they should be in it, for want of a token.
func (r *brokers) updateContract(ctx context.Context, b *eventingv1.Broker, access *contract.Access) (c write.Contract, unproven, err error) {
	old, err := r.contractOf(b)
	if err != nil {
		return old, nil, err
	}
	triggers, err := r.triggers.Triggers(b.Namespace).List(labels.Everything())
	if err != nil {
		return old, nil, fmt.Errorf("list triggers: %w", err)
	}
	next := compose(b, triggers, old)
	next.Access = access
	unproven = r.tokens.prove(ctx, b, old, &next)
	c, err = r.put(ctx, b, old, next)
	return c, unproven, err
}

func (r *brokers) apply(ctx context.Context, b *eventingv1.Broker, s Settings) (ingress, dispatcher *appsv1.Deployment, err error) {
	how, identities := encryptionOf(ctx, s), feature.FromContext(ctx).IsOIDCAuthentication()
	service, err := makeService(b, how)
	if err != nil {
		return nil, nil, err
	}
	if err := r.applyService(ctx, b, service); err != nil {
		return nil, nil, err
	}
	wantIngress, err := makeDeployment(b, s, how, false, roleIngress, r.image)
	if err != nil {
		return nil, nil, err
	}
	wantDispatcher, err := makeDeployment(b, s, how, identities, roleDispatcher, r.image)
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
// kubelet and the pods tell.
func (r *brokers) report(ctx context.Context, b *eventingv1.Broker, d *appsv1.Deployment, role string, condition apis.ConditionType) error {
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
	said, err := r.ask(ctx, b, role)
	if err != nil {
		return err
	}
	switch {
	case said.Status == health.NoRedis:
		mark(b).MarkFalse(condition, "RedisUnavailable", "Redis, of the Secret that spec.config names: %s", said.Reason)
	case said.Reason != "":
		mark(b).MarkUnknown(condition, "NotAvailable", "No pod of Deployment %s is ready: %s, %s", d.Name, said.Status, said.Reason)
	default:
		mark(b).MarkUnknown(condition, "NotAvailable", "Deployment %s has no pod that is ready", d.Name)
	}
	return nil
}

// reportEndpoints takes the ingress for not ready before its address leads to a pod:
// what is posted in between is refused.
func (r *brokers) reportEndpoints(b *eventingv1.Broker) error {
	if !mark(b).GetCondition(ConditionIngress).IsTrue() {
		return nil
	}
	slices, err := r.endpoints.EndpointSlices(b.Namespace).List(selector(map[string]string{discoveryv1.LabelServiceName: ingressName(b)}))
	if err != nil {
		return fmt.Errorf("list endpoint slices: %w", err)
	}
	for _, s := range slices {
		for _, e := range s.Endpoints {
			if len(e.Addresses) > 0 && (e.Conditions.Ready == nil || *e.Conditions.Ready) {
				return nil
			}
		}
	}
	mark(b).MarkUnknown(ConditionIngress, "NoEndpoint", "Service %s does not lead to a pod yet", ingressName(b))
	return nil
}

// FinalizeKind has the data plane stop and remove what Redis holds of the
// Broker. The objects go with it by their owner reference.
func (r *brokers) FinalizeKind(ctx context.Context, b *eventingv1.Broker) reconciler.Event {
	old, err := r.contractOf(b)
	if err != nil {
		return err
	}
	r.tokens.forget(b.UID)
	if old.Generation == 0 {
		if b.Status.Address == nil && len(b.Status.Addresses) == 0 { // there never was a data plane
			return nil
		}
		// It is being deleted with its namespace, where contract and pods went first, and
		// where no event can be made any more.
		r.kept(ctx, b, &corev1.Namespace{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: b.Namespace},
		})
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
	r.kept(ctx, b, b)
	return nil
}

// kept tells operators that nobody was left to remove what Redis holds.
func (r *brokers) kept(ctx context.Context, b *eventingv1.Broker, on runtime.Object) {
	logging.FromContext(ctx).Warnw("Redis still holds the streams of a deleted Broker", "broker", b.Namespace+"/"+b.Name)
	controller.GetEventRecorder(ctx).Eventf(on, corev1.EventTypeWarning, "StreamsKept",
		"Redis still holds the streams of Broker %s/%s: no data plane was left to remove them (see sweepline leftovers)", b.Namespace, b.Name)
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

// again has what cannot be resolved yet tried again. A condition says what; events
// would only repeat it, whenever objects are made together.
func again(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	logging.FromContext(ctx).Infow("Not resolved yet", "reason", err.Error())
	return controller.NewRequeueAfter(resolveEvery)
}
