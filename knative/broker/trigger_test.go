package broker

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrs "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgotesting "k8s.io/client-go/testing"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	sourcesv1 "knative.dev/eventing/pkg/apis/sources/v1"
	"knative.dev/eventing/pkg/auth"
	rt "knative.dev/eventing/pkg/reconciler/testing/v1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"
	. "knative.dev/pkg/reconciler/testing"
)

const triggerKey = ns + "/t"

// settled is a Trigger as it stands once the data plane serves it.
func settled(options ...rt.TriggerOption) *eventingv1.Trigger {
	return trigger(append([]rt.TriggerOption{
		subscribed("http://sub.example.com/"), rt.WithTriggerBrokerReady(), rt.WithTriggerSubscriberResolvedSucceeded(),
		rt.WithTriggerDeadLetterSinkNotConfigured(), rt.WithTriggerDependencyReady(), oidcOff, rt.WithTriggerSubscribed(),
	}, options...)...)
}

func oidcOff(t *eventingv1.Trigger) {
	t.Status.MarkOIDCIdentityCreatedSucceededWithReason("OIDCDisabled", "")
}

func TestReconcileTrigger(t *testing.T) {
	inContract := contractMap(t, serving(firstGen, entryOf(t, settled(), broker())))
	both := []runtime.Object{pod("i1", roleIngress), pod("d1", roleDispatcher)}
	with := func(objects ...runtime.Object) []runtime.Object { return append(objects, both...) }
	toService := func(t *eventingv1.Trigger) {
		t.Spec.Subscriber = duckv1.Destination{
			Ref: &duckv1.KReference{APIVersion: "v1", Kind: "Service", Name: "sub"}, URI: &apis.URL{Path: "/path"},
		}
	}
	withLetters := func(t *eventingv1.Trigger) {
		t.Spec.Delivery = &eventingduckv1.DeliverySpec{DeadLetterSink: &duckv1.Destination{URI: apis.HTTP("letters.example.com")}}
	}

	never := rt.WithTriggerSubscriberURI("bad://uri")
	depending := rt.WithDependencyAnnotation(`{"apiVersion":"sources.knative.dev/v1","kind":"PingSource","name":"ticks"}`)
	waits := func(mark func(reason, message string) rt.TriggerOption, reason, message string) rt.TriggerOption {
		return func(t *eventingv1.Trigger) {
			mark(reason, message)(t)
			rt.WithTriggerSubscribedUnknown(reason, "The Trigger waits for DependencyReady: "+message)(t)
		}
	}
	ping := func(options ...func(*sourcesv1.PingSource)) *sourcesv1.PingSource {
		s := &sourcesv1.PingSource{
			TypeMeta:   metav1.TypeMeta{APIVersion: "sources.knative.dev/v1", Kind: "PingSource"},
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "ticks"},
		}
		for _, o := range options {
			o(s)
		}
		return s
	}
	readyPing := func(s *sourcesv1.PingSource) {
		s.Status.Conditions = duckv1.Conditions{{Type: apis.ConditionReady, Status: corev1.ConditionTrue}}
	}

	asking := func(t *eventingv1.Trigger) { t.Spec.Subscriber.Audience = ptr("sub") }
	const forbidden = "The controller may not make identities in this namespace: bind the ClusterRole sweepline-broker-identities to it here"

	runTriggers(t, []row{{
		TableRow: TableRow{Name: "bad workqueue key", Key: "too/many/parts"},
	}, {
		TableRow: TableRow{
			Name: "the Broker is gone", Key: triggerKey,
			Objects:           []runtime.Object{trigger()},
			WantStatusUpdates: statusOf(trigger(rt.WithTriggerBrokerFailed("BrokerDoesNotExist", `Broker "main" does not exist`))),
		},
	}, {
		TableRow: TableRow{
			Name: "another class's", Key: triggerKey,
			Objects: []runtime.Object{trigger(), rt.NewBroker(brokerName, ns, rt.WithBrokerClass("Other"))},
		},
	}, {
		TableRow: TableRow{
			Name: "the data plane has not been told", Key: triggerKey,
			Objects: with(trigger(), broker(readyBroker), contractMap(t, serving(firstGen))),
			WantStatusUpdates: statusOf(settled(
				rt.WithTriggerSubscribedUnknown("ContractPending", "The data plane has not been told of the Trigger yet"))),
		},
	}, {
		pods: pods{at("i1"): firstGen, at("d1"): firstGen - 1},
		TableRow: TableRow{
			Name: "one pod lags: not Ready, and asked again", Key: triggerKey, WantErr: true,
			Objects: with(trigger(), broker(readyBroker), inContract),
			WantStatusUpdates: statusOf(settled(
				rt.WithTriggerSubscribedUnknown("DataPlanePending", "pod d1 does not serve the latest contract yet"))),
		},
	}, {
		pods: pods{at("i1"): firstGen},
		TableRow: TableRow{
			Name: "one pod does not answer", Key: triggerKey, WantErr: true,
			Objects:           with(trigger(), broker(readyBroker), inContract),
			WantStatusUpdates: statusOf(settled(rt.WithTriggerSubscribedUnknown("DataPlanePending", "pod d1: connection refused"))),
		},
	}, {
		TableRow: TableRow{
			Name: "no pod is ready", Key: triggerKey,
			Objects: []runtime.Object{trigger(), broker(readyBroker), inContract, pod("d1", roleDispatcher, func(p *corev1.Pod) {
				p.Status.Conditions = nil
			})},
			WantStatusUpdates: statusOf(settled(
				rt.WithTriggerSubscribedUnknown("DataPlaneNotReady", "No pod of the Broker's data plane is ready"))),
		},
	}, {
		pods: pods{at("i1"): firstGen, at("d1"): firstGen},
		TableRow: TableRow{
			Name: "all pods serve it: Ready", Key: triggerKey,
			Objects:           with(trigger(), broker(readyBroker), inContract),
			WantStatusUpdates: statusOf(settled()),
		},
	}, {
		pods: pods{at("i1"): firstGen, at("d1"): firstGen},
		TableRow: TableRow{
			Name: "nothing changes when nothing changed", Key: triggerKey,
			Objects: with(settled(), broker(readyBroker), inContract),
		},
	}, {
		pods: pods{at("i1"): firstGen, at("d1"): firstGen},
		TableRow: TableRow{
			Name: "the Broker has a problem", Key: triggerKey,
			Objects: with(trigger(), broker(readyBroker, func(b *eventingv1.Broker) {
				mark(b).MarkFalse(ConditionIngress, "Gone", "no ingress")
			}), inContract),
			WantStatusUpdates: statusOf(settled(rt.WithTriggerBrokerFailed("Gone", "no ingress"))),
		},
	}, {
		TableRow: TableRow{
			Name: "a subscriber that does not exist", Key: triggerKey, WantErr: true,
			Objects: with(trigger(toService), broker(readyBroker), inContract),
			WantStatusUpdates: statusOf(trigger(toService, rt.WithTriggerBrokerReady(), oidcOff, rt.WithTriggerDeadLetterSinkNotConfigured(),
				rt.WithTriggerSubscriberResolvedFailed("SubscriberUnresolved", `failed to get object shop/sub: services "sub" not found`),
				rt.WithTriggerSubscribedUnknown("Unresolved", "The subscriber or the dead letter sink cannot be resolved yet"),
				rt.WithTriggerDependencyReady())),
		},
	}, {
		TableRow: TableRow{
			Name: "then does, with a path of its own", Key: triggerKey,
			Objects: with(trigger(toService), broker(readyBroker), inContract, &corev1.Service{
				TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "sub"},
			}),
			WantStatusUpdates: statusOf(settled(toService, subscribed("http://sub.shop.svc.cluster.local/path"),
				rt.WithTriggerSubscribedUnknown("ContractPending", "The data plane has not been told of the Trigger yet"))),
		},
	}, {
		TableRow: TableRow{
			Name: "a dead letter sink of its own", Key: triggerKey,
			Objects: with(trigger(withLetters), broker(readyBroker), inContract),
			WantStatusUpdates: statusOf(settled(withLetters,
				rt.WithTriggerStatusDeadLetterSinkURI(duckv1.Addressable{URL: apis.HTTP("letters.example.com")}),
				rt.WithTriggerDeadLetterSinkResolvedSucceeded(),
				rt.WithTriggerSubscribedUnknown("ContractPending", "The data plane has not been told of the Trigger yet"))),
		},
	}, {
		TableRow: TableRow{
			Name: "the Broker's dead letter sink is not resolved", Key: triggerKey, WantErr: true,
			Objects: with(trigger(), broker(readyBroker, func(b *eventingv1.Broker) {
				b.Spec.Delivery = &eventingduckv1.DeliverySpec{DeadLetterSink: &duckv1.Destination{URI: apis.HTTP("letters.example.com")}}
			}), inContract),
			WantStatusUpdates: statusOf(trigger(subscribed("http://sub.example.com/"), rt.WithTriggerBrokerReady(), oidcOff,
				rt.WithTriggerSubscriberResolvedSucceeded(),
				rt.WithTriggerDeadLetterSinkResolvedFailed("BrokerDeadLetterSinkUnresolved", "Broker main has no dead letter sink yet"),
				rt.WithTriggerSubscribedUnknown("Unresolved", "The subscriber or the dead letter sink cannot be resolved yet"),
				rt.WithTriggerDependencyReady())),
		},
	}, {
		TableRow: TableRow{
			Name: "an annotation that makes no sense", Key: triggerKey,
			Objects: with(trigger(rt.WithAnnotation("sweepline.dev/parallelism", "many")), broker(readyBroker), inContract),
			WantStatusUpdates: statusOf(settled(rt.WithAnnotation("sweepline.dev/parallelism", "many"),
				rt.WithTriggerNotSubscribed("TriggerInvalid",
					`it is not valid: metadata.annotations[sweepline.dev/parallelism]: "many" must be a number from 1 to 10000`))),
			WantEvents: []string{Eventf(corev1.EventTypeWarning, "TriggerInvalid",
				`it is not valid: metadata.annotations[sweepline.dev/parallelism]: "many" must be a number from 1 to 10000`)},
		},
	}, {
		pods: pods{at("i1"): firstGen, at("d1"): firstGen},
		TableRow: TableRow{
			Name: "a subscriber that can never be reached is one", Key: triggerKey,
			Objects: with(trigger(never), broker(readyBroker),
				contractMap(t, serving(firstGen, entryOf(t, settled(never, subscribed("bad://uri")), broker())))),
			WantStatusUpdates: statusOf(settled(never, subscribed("bad://uri"))),
		},
	}, {
		TableRow: TableRow{
			Name: "what it depends on is not there", Key: triggerKey,
			Objects:           with(trigger(depending), broker(readyBroker), contractMap(t, serving(firstGen))),
			WantStatusUpdates: statusOf(settled(depending, waits(rt.WithTriggerDependencyFailed, "DependencyDoesNotExist", "PingSource ticks does not exist"))),
		},
	}, {
		TableRow: TableRow{
			Name: "is not ready", Key: triggerKey,
			Objects: with(trigger(depending), broker(readyBroker), contractMap(t, serving(firstGen)), ping(func(s *sourcesv1.PingSource) {
				s.Status.MarkNoSink("NotFound", "100%% of it")
			})),
			WantStatusUpdates: statusOf(settled(depending, waits(rt.WithTriggerDependencyFailed, "NotFound", "PingSource ticks is not ready: 100%% of it"))),
		},
	}, {
		TableRow: TableRow{
			Name: "has said nothing yet", Key: triggerKey,
			Objects:           with(trigger(depending), broker(readyBroker), contractMap(t, serving(firstGen)), ping(func(*sourcesv1.PingSource) {})),
			WantStatusUpdates: statusOf(settled(depending, waits(rt.WithTriggerDependencyUnknown, "DependencyNotReconciled", "PingSource ticks does not say yet whether it is ready"))),
		},
	}, {
		TableRow: TableRow{
			Name: "has changed since it was ready", Key: triggerKey,
			Objects: with(trigger(depending), broker(readyBroker), contractMap(t, serving(firstGen)), ping(readyPing, func(s *sourcesv1.PingSource) {
				s.Generation = 2
			})),
			WantStatusUpdates: statusOf(settled(depending, waits(rt.WithTriggerDependencyUnknown, "DependencyOutdated", "What PingSource ticks says of itself is older than its last change"))),
		},
	}, {
		pods: pods{at("i1"): firstGen, at("d1"): firstGen},
		TableRow: TableRow{
			Name: "and is ready", Key: triggerKey,
			Objects:           with(trigger(depending), broker(readyBroker), inContract, ping(readyPing)),
			WantStatusUpdates: statusOf(settled(depending)),
		},
	}, {
		flags: oidcOn, pods: pods{at("i1"): firstGen, at("d1"): firstGen},
		TableRow: TableRow{
			Name: "a cluster that wants identities: a ServiceAccount of its own", Key: triggerKey,
			Objects:           with(trigger(), broker(readyBroker), contractMap(t, serving(firstGen, entryOf(t, settled(to("")), broker())))),
			WantCreates:       []runtime.Object{auth.GetOIDCServiceAccountForResource(triggerKind, trigger().ObjectMeta)},
			WantStatusUpdates: statusOf(settled(to(""), rt.WithTriggerOIDCIdentityCreatedSucceeded())),
		},
	}, {
		flags: oidcOn, pods: pods{at("i1"): firstGen, at("d1"): firstGen},
		TableRow: TableRow{
			Name: "and one there is, of a subscriber that asks for it", Key: triggerKey,
			Objects: with(trigger(asking), broker(readyBroker), contractMap(t, serving(firstGen, entryOf(t, settled(asking, to("sub")), broker()))),
				auth.GetOIDCServiceAccountForResource(triggerKind, trigger().ObjectMeta)),
			WantStatusUpdates: statusOf(settled(asking, to("sub"), rt.WithTriggerOIDCIdentityCreatedSucceeded())),
		},
	}, {
		flags: oidcOn,
		TableRow: TableRow{
			Name: "a namespace in which the controller may make none", Key: triggerKey, WantErr: true,
			Objects: with(trigger(), broker(readyBroker), contractMap(t, serving(firstGen))),
			WithReactors: []clientgotesting.ReactionFunc{func(a clientgotesting.Action) (bool, runtime.Object, error) {
				return a.Matches("create", "serviceaccounts"), nil, apierrs.NewForbidden(corev1.Resource("serviceaccounts"), "x", errors.New("no"))
			}},
			WantCreates: []runtime.Object{auth.GetOIDCServiceAccountForResource(triggerKind, trigger().ObjectMeta)},
			WantStatusUpdates: statusOf(settled(to(""),
				rt.WithTriggerOIDCIdentityCreatedFailed("Forbidden", forbidden),
				rt.WithTriggerSubscribedUnknown("Forbidden", "The Trigger waits for OIDCIdentityCreated: "+forbidden))),
			WantEvents: []string{Eventf(corev1.EventTypeWarning, "InternalError",
				`could not create OIDC service account shop/t for Trigger: serviceaccounts "x" is forbidden: no`)},
		},
	}})
}

func TestFinalizeTrigger(t *testing.T) {
	gone := trigger(rt.WithTriggerDeleted)
	gone.DeletionTimestamp = &metav1.Time{Time: clock}
	long := gone.DeepCopy()
	long.DeletionTimestamp = &metav1.Time{Time: clock.Add(-purgeWithin)}
	removed := []clientgotesting.PatchActionImpl{finalizers("t")}
	updated := []string{Eventf(corev1.EventTypeNormal, "FinalizerUpdate", `Updated "t" finalizers`)}
	with := serving(firstGen, entryOf(t, settled(), broker()))

	runTriggers(t, []row{{
		TableRow: TableRow{
			Name: "its Broker is gone", Key: triggerKey,
			Objects: []runtime.Object{gone}, WantPatches: removed, WantEvents: updated,
		},
	}, {
		TableRow: TableRow{
			Name: "it still stands in the contract", Key: triggerKey, WantErr: true,
			Objects: []runtime.Object{gone, broker(), contractMap(t, with), pod("d1", roleDispatcher)},
		},
	}, {
		pods: pods{at("d1"): firstGen - 1},
		TableRow: TableRow{
			Name: "a pod still serves it", Key: triggerKey, WantErr: true,
			Objects: []runtime.Object{gone, broker(), contractMap(t, serving(firstGen)), pod("d1", roleDispatcher)},
		},
	}, {
		pods: pods{at("d1"): firstGen},
		TableRow: TableRow{
			Name: "no pod serves it any more", Key: triggerKey,
			Objects:     []runtime.Object{gone, broker(), contractMap(t, serving(firstGen)), pod("d1", roleDispatcher)},
			WantPatches: removed, WantEvents: updated,
		},
	}, {
		TableRow: TableRow{
			Name: "nobody can say", Key: triggerKey,
			Objects:     []runtime.Object{long, broker(), contractMap(t, serving(firstGen))},
			WantPatches: removed, WantEvents: updated,
		},
	}})
}
