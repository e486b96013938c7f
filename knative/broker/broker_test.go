package broker

import (
	"errors"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrs "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgotesting "k8s.io/client-go/testing"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/eventing/pkg/apis/feature"
	rt "knative.dev/eventing/pkg/reconciler/testing/v1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"
	. "knative.dev/pkg/reconciler/testing"

	"github.com/zixly/sweepline/knative/contract/write"
	"github.com/zixly/sweepline/knative/health"
)

func TestReconcileBroker(t *testing.T) {
	// The whole data plane as it stands, and serves an empty contract.
	standing := func(more ...runtime.Object) []runtime.Object {
		return append([]runtime.Object{
			service(t, plainly), contractMap(t, serving(firstGen)), endpoints(true),
			deployment(t, roleIngress, settings(), available), deployment(t, roleDispatcher, settings(), available),
		}, more...)
	}
	resolved := trigger(subscribed("http://sub.example.com/"), rt.WithTriggerDependencyReady())
	waiting := trigger(subscribed("http://sub.example.com/"), rt.WithTriggerDependencyFailed("Gone", "no source"))
	holding := func(t *testing.T) eventingv1.Trigger {
		e := entryOf(t, resolved, broker())
		e.Annotations = map[string]string{"sweepline.dev/hold": "true"}
		return e
	}
	away := health.Status{Status: health.NoRedis, Reason: "dial 10.0.0.2:6379: connect: connection refused"}
	unready := func(p *corev1.Pod) {
		p.Status.Conditions = nil
		p.Status.Phase = corev1.PodRunning
	}
	sinkless := func(b *eventingv1.Broker) {
		b.Spec.Delivery = &eventingduckv1.DeliverySpec{DeadLetterSink: &duckv1.Destination{
			Ref: &duckv1.KReference{APIVersion: "v1", Kind: "Service", Name: "letters"},
		}}
	}

	unusable := func(b *eventingv1.Broker) {
		b.Spec.Delivery = &eventingduckv1.DeliverySpec{DeadLetterSink: &duckv1.Destination{URI: &apis.URL{Scheme: "bad", Host: "uri"}}}
	}

	runBrokers(t, []row{{
		TableRow: TableRow{Name: "bad workqueue key", Key: "too/many/parts"},
	}, {
		TableRow: TableRow{Name: "key not found", Key: "foo/not-found"},
	}, {
		TableRow: TableRow{
			Name: "another class", Key: key,
			Objects: []runtime.Object{broker(func(b *eventingv1.Broker) { rt.WithBrokerClass("Other")(b) })},
		},
	}, {
		TableRow: TableRow{
			Name: "no configuration", Key: key,
			Objects: []runtime.Object{broker(func(b *eventingv1.Broker) { b.Spec.Config = nil })},
			WantStatusUpdates: status(broker(func(b *eventingv1.Broker) {
				b.Spec.Config = nil
				mark(b).MarkFalse(ConditionConfig, "ConfigInvalid", "is missing: it must name a ConfigMap")
				waitingForConfig(b)
			})),
			WantEvents: []string{Eventf(corev1.EventTypeWarning, "ConfigInvalid", "spec.config: is missing: it must name a ConfigMap")},
		},
	}, {
		TableRow: TableRow{
			Name: "configuration of the default class", Key: key,
			Objects: []runtime.Object{broker(), &corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "settings"}, Data: map[string]string{"channel-template-spec": "{}"},
			}},
			WantStatusUpdates: status(broker(func(b *eventingv1.Broker) {
				mark(b).MarkFalse(ConditionConfig, "ConfigInvalid", "ConfigMap shop/settings: channel-template-spec: unknown setting of this class; "+
					"redis-secret: must name a Secret with the Redis URL")
				waitingForConfig(b)
			})),
			WantEvents: []string{Eventf(corev1.EventTypeWarning, "ConfigInvalid", "spec.config: ConfigMap shop/settings: channel-template-spec: "+
				"unknown setting of this class; redis-secret: must name a Secret with the Redis URL")},
		},
	}, {
		TableRow: TableRow{
			Name: "the configuration of another namespace is not read", Key: key,
			Objects: []runtime.Object{broker(func(b *eventingv1.Broker) { b.Spec.Config.Namespace = "bank" }), &corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Namespace: "bank", Name: "settings"}, Data: map[string]string{"account": "17"},
			}},
			WantStatusUpdates: status(broker(func(b *eventingv1.Broker) {
				b.Spec.Config.Namespace = "bank"
				mark(b).MarkFalse(ConditionConfig, "ConfigInvalid", "names a ConfigMap of namespace bank: it must be one of shop")
				waitingForConfig(b)
			})),
			WantEvents: []string{Eventf(corev1.EventTypeWarning, "ConfigInvalid", "spec.config: names a ConfigMap of namespace bank: it must be one of shop")},
		},
	}, {
		TableRow: TableRow{
			Name: "what the pods may not be given is named", Key: key,
			Objects: []runtime.Object{broker(), &corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "settings"},
				Data:       map[string]string{"redis-secret": "redis", "pod": "spec: {hostPID: true}"},
			}},
			WantStatusUpdates: status(broker(func(b *eventingv1.Broker) {
				mark(b).MarkFalse(ConditionConfig, "ConfigInvalid", "ConfigMap shop/settings: pod: may not set spec.hostPID "+
					"(only labels, annotations, resources and what is about scheduling)")
				waitingForConfig(b)
			})),
			WantEvents: []string{Eventf(corev1.EventTypeWarning, "ConfigInvalid", "spec.config: ConfigMap shop/settings: pod: may not set spec.hostPID "+
				"(only labels, annotations, resources and what is about scheduling)")},
		},
	}, {
		TableRow: TableRow{
			Name: "a new Broker gets a data plane", Key: key,
			Objects: []runtime.Object{broker(), settings()},
			WantCreates: []runtime.Object{
				contractMap(t, serving(nextGen)), service(t, plainly),
				deployment(t, roleIngress, settings()), deployment(t, roleDispatcher, settings()),
			},
			WantStatusUpdates: status(broker(func(b *eventingv1.Broker) {
				mark(b).MarkTrue(ConditionConfig)
				mark(b).MarkUnknown(ConditionIngress, "NotAvailable", "Deployment main-broker-ingress has no pod that is ready")
				mark(b).MarkUnknown(ConditionDispatcher, "NotAvailable", "Deployment main-broker-dispatcher has no pod that is ready")
				b.Status.MarkDeadLetterSinkNotConfigured()
				openToAll(b)
				addressed(b)
			})),
			WantEvents: []string{
				Eventf(corev1.EventTypeNormal, "DataPlaneCreated", "Created Deployment main-broker-ingress"),
				Eventf(corev1.EventTypeNormal, "DataPlaneCreated", "Created Deployment main-broker-dispatcher"),
			},
		},
	}, {
		TableRow: TableRow{
			Name: "the finalizer comes first", Key: key,
			Objects:     standing(broker(readyBroker, func(b *eventingv1.Broker) { b.Finalizers = nil }), settings()),
			WantPatches: []clientgotesting.PatchActionImpl{finalizers(brokerName, brokerFinalizer)},
			WantEvents:  []string{Eventf(corev1.EventTypeNormal, "FinalizerUpdate", `Updated "main" finalizers`)},
		},
	}, {
		TableRow: TableRow{
			Name: "Ready once pods of both roles are", Key: key,
			Objects:           standing(broker(), settings()),
			WantStatusUpdates: status(broker(readyBroker)),
		},
	}, {
		TableRow: TableRow{
			Name: "observedGeneration follows", Key: key,
			Objects: standing(broker(readyBroker, func(b *eventingv1.Broker) { b.Generation = 2 }), settings()),
			WantStatusUpdates: status(broker(readyBroker, func(b *eventingv1.Broker) {
				b.Generation, b.Status.ObservedGeneration = 2, 2
			})),
		},
	}, {
		TableRow: TableRow{
			Name: "a missing Secret is told as kubelet tells it", Key: key,
			Objects: []runtime.Object{
				broker(), settings(), service(t, plainly), contractMap(t, serving(firstGen)),
				deployment(t, roleIngress, settings()), deployment(t, roleDispatcher, settings(), available),
				pod("i1", roleIngress, func(p *corev1.Pod) {
					p.Status.Conditions = nil
					p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{
						Waiting: &corev1.ContainerStateWaiting{Reason: "CreateContainerConfigError", Message: `secret "redis" not found`},
					}}}
				}),
			},
			WantStatusUpdates: status(broker(readyBroker, func(b *eventingv1.Broker) {
				mark(b).MarkFalse(ConditionIngress, "CreateContainerConfigError", `secret "redis" not found`)
			})),
		},
	}, {
		TableRow: TableRow{
			Name: "not Ready before its address leads to a pod", Key: key,
			Objects: []runtime.Object{
				broker(), settings(), service(t, plainly), contractMap(t, serving(firstGen)), endpoints(false),
				deployment(t, roleIngress, settings(), available), deployment(t, roleDispatcher, settings(), available),
			},
			WantStatusUpdates: status(broker(readyBroker, func(b *eventingv1.Broker) {
				mark(b).MarkUnknown(ConditionIngress, "NoEndpoint", "Service main-broker-ingress does not lead to a pod yet")
			})),
		},
	}, {
		said: map[string]health.Status{at("i1"): away},
		TableRow: TableRow{
			Name: "a Redis that is away is named, with the reason", Key: key,
			Objects: []runtime.Object{
				broker(readyBroker), settings(), service(t, plainly), contractMap(t, serving(firstGen)), endpoints(false),
				deployment(t, roleIngress, settings()), deployment(t, roleDispatcher, settings(), available), pod("i1", roleIngress, unready),
			},
			WantStatusUpdates: status(broker(readyBroker, func(b *eventingv1.Broker) {
				mark(b).MarkFalse(ConditionIngress, "RedisUnavailable",
					"Redis, of the Secret that spec.config names: dial 10.0.0.2:6379: connect: connection refused")
			})),
		},
	}, {
		said: map[string]health.Status{at("d1"): {Status: health.NoContract, Reason: "read contract: no such file"}},
		TableRow: TableRow{
			Name: "what else a pod lacks is told, too", Key: key,
			Objects: []runtime.Object{
				broker(readyBroker), settings(), service(t, plainly), contractMap(t, serving(firstGen)), endpoints(true),
				deployment(t, roleIngress, settings(), available), deployment(t, roleDispatcher, settings()), pod("d1", roleDispatcher, unready),
			},
			WantStatusUpdates: status(broker(readyBroker, func(b *eventingv1.Broker) {
				mark(b).MarkUnknown(ConditionDispatcher, "NotAvailable",
					"No pod of Deployment main-broker-dispatcher is ready: missing: contract, read contract: no such file")
			})),
		},
	}, {
		TableRow: TableRow{
			Name: "a Trigger that waits for what it depends on is not subscribed", Key: key,
			Objects: standing(broker(readyBroker), settings(), waiting),
		},
	}, {
		TableRow: TableRow{
			Name: "one that was subscribed is held", Key: key,
			Objects: []runtime.Object{
				broker(readyBroker), settings(), service(t, plainly), contractMap(t, serving(firstGen, entryOf(t, resolved, broker()))),
				deployment(t, roleIngress, settings(), available), deployment(t, roleDispatcher, settings(), available), endpoints(true),
				waiting,
			},
			WantUpdates: []clientgotesting.UpdateActionImpl{{Object: contractMap(t, serving(nextGen, holding(t)))}},
		},
	}, {
		TableRow: TableRow{
			Name: "and goes on afterwards", Key: key,
			Objects: []runtime.Object{
				broker(readyBroker), settings(), service(t, plainly), contractMap(t, serving(firstGen, holding(t))),
				deployment(t, roleIngress, settings(), available), deployment(t, roleDispatcher, settings(), available), endpoints(true),
				resolved,
			},
			WantUpdates: []clientgotesting.UpdateActionImpl{{Object: contractMap(t, serving(nextGen, entryOf(t, resolved, broker())))}},
		},
	}, {
		TableRow: TableRow{
			Name: "a cache that is behind is no failure", Key: key, WantErr: true,
			Objects: standing(broker(readyBroker), settings(), resolved),
			WithReactors: []clientgotesting.ReactionFunc{func(a clientgotesting.Action) (bool, runtime.Object, error) {
				return a.Matches("update", "configmaps"), nil, apierrs.NewConflict(corev1.Resource("configmaps"), "x", errors.New("changed"))
			}},
			WantUpdates: []clientgotesting.UpdateActionImpl{{Object: contractMap(t, serving(nextGen, entryOf(t, resolved, broker())))}},
		},
	}, {
		TableRow: TableRow{
			Name: "a namespace that goes takes the Broker along, quietly", Key: key,
			Objects: []runtime.Object{broker(), settings()},
			WithReactors: []clientgotesting.ReactionFunc{func(a clientgotesting.Action) (bool, runtime.Object, error) {
				err := apierrs.NewForbidden(corev1.Resource("configmaps"), "x", errors.New("namespace is being terminated"))
				err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
				return a.Matches("create", "configmaps"), nil, err
			}},
			WantCreates: []runtime.Object{contractMap(t, serving(nextGen))},
			WantStatusUpdates: status(broker(func(b *eventingv1.Broker) {
				mark(b).MarkTrue(ConditionConfig)
				b.Status.MarkDeadLetterSinkNotConfigured()
				openToAll(b)
			})),
		},
	}, {
		TableRow: TableRow{
			Name: "a namespace in which the controller may not write", Key: key, WantErr: true,
			Objects: []runtime.Object{broker(), settings()},
			WithReactors: []clientgotesting.ReactionFunc{func(a clientgotesting.Action) (bool, runtime.Object, error) {
				return a.Matches("create", "configmaps"), nil, apierrs.NewForbidden(corev1.Resource("configmaps"), "x", errors.New("no"))
			}},
			WantCreates: []runtime.Object{contractMap(t, serving(nextGen))},
			WantStatusUpdates: status(broker(func(b *eventingv1.Broker) {
				mark(b).MarkTrue(ConditionConfig)
				b.Status.MarkDeadLetterSinkNotConfigured()
				openToAll(b)
				mark(b).MarkFalse(ConditionIngress, "Forbidden", "The controller may not write in this namespace: bind the ClusterRole sweepline-broker-dataplane to it here")
			})),
			WantEvents: []string{Eventf(corev1.EventTypeWarning, "InternalError", `write contract: configmaps "x" is forbidden: no`)},
		},
	}, {
		TableRow: TableRow{
			Name: "a configuration that is not there yet", Key: key,
			Objects: []runtime.Object{broker()},
			WantStatusUpdates: status(broker(func(b *eventingv1.Broker) {
				mark(b).MarkFalse(ConditionConfig, "ConfigInvalid", `configmap "settings" not found`)
				waitingForConfig(b)
			})),
		},
	}, {
		TableRow: TableRow{
			Name: "a resolved Trigger comes into the contract, and pods are touched", Key: key,
			Objects:     standing(broker(readyBroker), settings(), resolved, pod("i1", roleIngress), pod("d1", roleDispatcher)),
			WantUpdates: []clientgotesting.UpdateActionImpl{{Object: contractMap(t, serving(nextGen, entryOf(t, resolved, broker())))}},
			WantPatches: []clientgotesting.PatchActionImpl{touched("i1", nextGen), touched("d1", nextGen)},
		},
	}, {
		TableRow: TableRow{
			Name: "a Trigger whose subscriber is gone keeps its entry", Key: key,
			Objects: []runtime.Object{
				broker(readyBroker), settings(), service(t, plainly), contractMap(t, serving(firstGen, entryOf(t, resolved, broker()))),
				deployment(t, roleIngress, settings(), available), deployment(t, roleDispatcher, settings(), available), endpoints(true),
				trigger(rt.WithTriggerDependencyReady()),
			},
		},
	}, {
		TableRow: TableRow{
			Name: "a new Trigger of the same name does not inherit it", Key: key,
			Objects: []runtime.Object{
				broker(readyBroker), settings(), service(t, plainly), contractMap(t, serving(firstGen, entryOf(t, resolved, broker()))),
				deployment(t, roleIngress, settings(), available), deployment(t, roleDispatcher, settings(), available), endpoints(true),
				trigger(rt.WithTriggerUID("another")),
			},
			WantUpdates: []clientgotesting.UpdateActionImpl{{Object: contractMap(t, serving(nextGen))}},
		},
	}, {
		TableRow: TableRow{
			Name: "a Trigger that is being deleted leaves the contract", Key: key,
			Objects: []runtime.Object{
				broker(readyBroker), settings(), service(t, plainly), contractMap(t, serving(firstGen, entryOf(t, resolved, broker()))),
				deployment(t, roleIngress, settings(), available), deployment(t, roleDispatcher, settings(), available), endpoints(true),
				trigger(subscribed("http://sub.example.com/"), rt.WithTriggerDeleted),
			},
			WantUpdates: []clientgotesting.UpdateActionImpl{{Object: contractMap(t, serving(nextGen))}},
		},
	}, {
		TableRow: TableRow{
			Name: "changed settings roll out; an autoscaler's replicas stay", Key: key,
			Objects: []runtime.Object{
				broker(readyBroker), settings("dispatcher-replicas", "autoscaled", "BROKER_PARTITIONS", "4"),
				service(t, plainly), contractMap(t, serving(firstGen)), endpoints(true),
				deployment(t, roleIngress, settings(), available),
				deployment(t, roleDispatcher, settings(), available, func(d *appsv1.Deployment) { d.Spec.Replicas = ptr(int32(7)) }),
			},
			WantUpdates: []clientgotesting.UpdateActionImpl{
				{Object: deployment(t, roleIngress, settings("BROKER_PARTITIONS", "4"), available)},
				{Object: deployment(t, roleDispatcher, settings("dispatcher-replicas", "autoscaled", "BROKER_PARTITIONS", "4"), available,
					func(d *appsv1.Deployment) { d.Spec.Replicas = ptr(int32(7)) })},
			},
			WantEvents: []string{
				Eventf(corev1.EventTypeNormal, "DataPlaneUpdated", "Updated Deployment main-broker-ingress"),
				Eventf(corev1.EventTypeNormal, "DataPlaneUpdated", "Updated Deployment main-broker-dispatcher"),
			},
		},
	}, {
		TableRow: TableRow{
			Name: "a stranger's Deployment is not taken", Key: key, WantErr: true,
			Objects: []runtime.Object{
				broker(), settings(), service(t, plainly), contractMap(t, serving(firstGen)),
				deployment(t, roleIngress, settings(), func(d *appsv1.Deployment) { d.OwnerReferences = nil }),
			},
			WantStatusUpdates: status(broker(func(b *eventingv1.Broker) {
				mark(b).MarkTrue(ConditionConfig)
				b.Status.MarkDeadLetterSinkNotConfigured()
				openToAll(b)
				mark(b).MarkFalse(ConditionIngress, "DataPlaneFailed", "deployment main-broker-ingress: is there already and not the Broker's")
			})),
			WantEvents: []string{Eventf(corev1.EventTypeWarning, "InternalError", "deployment main-broker-ingress: is there already and not the Broker's")},
		},
	}, {
		TableRow: TableRow{
			Name: "a dead letter sink that is missing", Key: key, WantErr: true,
			Objects: standing(broker(sinkless), settings()),
			WantStatusUpdates: status(broker(sinkless, readyBroker, func(b *eventingv1.Broker) {
				b.Status.MarkDeadLetterSinkResolvedFailed("DeadLetterSinkUnresolved", `failed to get object shop/letters: services "letters" not found`)
			})),
		},
	}, {
		TableRow: TableRow{
			Name: "a dead letter sink that nothing can be posted to", Key: key,
			Objects: standing(broker(unusable), settings()),
			WantStatusUpdates: status(broker(unusable, readyBroker, func(b *eventingv1.Broker) {
				b.Status.MarkDeadLetterSinkResolvedFailed("DeadLetterSinkUnusable", "bad://uri must be an http or https URL")
			})),
		},
	}, {
		TableRow: TableRow{
			Name: "a dead letter sink that is there", Key: key,
			Objects: standing(broker(sinkless), settings(), &corev1.Service{
				TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "letters"},
			}),
			WantStatusUpdates: status(broker(sinkless, readyBroker, func(b *eventingv1.Broker) {
				b.Status.MarkDeadLetterSinkResolvedSucceeded(eventingduckv1.NewDeliveryStatusFromAddressable(
					&duckv1.Addressable{URL: apis.HTTP("letters.shop.svc.cluster.local")}))
			})),
		},
	}, {
		flags: feature.Flags{feature.TransportEncryption: feature.Strict},
		TableRow: TableRow{
			Name: "a cluster that wants https only", Key: key,
			Objects: standing(broker(readyBroker), settings()),
			WantStatusUpdates: status(broker(readyBroker, func(b *eventingv1.Broker) {
				b.Status.Address = nil
				mark(b).MarkFalse(eventingv1.BrokerConditionAddressable, "TransportEncryptionStrict",
					"config-features asks for https only: name a certificate in the key tls-secret of spec.config")
			})),
		},
	}})
}

func TestFinalizeBroker(t *testing.T) {
	purge := write.Contract{Generation: nextGen, Purge: ns + "/" + brokerName}
	removed := []clientgotesting.PatchActionImpl{finalizers(brokerName)}
	updated := Eventf(corev1.EventTypeNormal, "FinalizerUpdate", `Updated "main" finalizers`)
	runBrokers(t, []row{{
		TableRow: TableRow{
			Name: "there never was a data plane", Key: key,
			Objects:     []runtime.Object{broker(deletedAt(clock))},
			WantPatches: removed, WantEvents: []string{updated},
		},
	}, {
		pods: pods{at("i1"): firstGen},
		TableRow: TableRow{
			Name: "pods are told to purge, and waited for", Key: key, WantErr: true,
			Objects:     []runtime.Object{broker(deletedAt(clock)), contractMap(t, serving(firstGen)), pod("i1", roleIngress)},
			WantUpdates: []clientgotesting.UpdateActionImpl{{Object: contractMap(t, purge)}},
			WantPatches: []clientgotesting.PatchActionImpl{touched("i1", nextGen)},
		},
	}, {
		pods: pods{at("i1"): nextGen, at("d1"): nextGen},
		TableRow: TableRow{
			Name: "all pods have", Key: key,
			Objects: []runtime.Object{
				broker(deletedAt(clock)), contractMap(t, purge), pod("i1", roleIngress, told), pod("d1", roleDispatcher, told),
			},
			WantPatches: removed,
			WantEvents:  []string{updated, Eventf(corev1.EventTypeNormal, "StreamsRemoved", "Removed all that Redis held of the Broker")},
		},
	}, {
		TableRow: TableRow{
			Name: "nobody is there to do it", Key: key,
			Objects:     []runtime.Object{broker(deletedAt(clock.Add(-purgeWithin))), contractMap(t, purge)},
			WantPatches: removed,
			WantEvents: []string{
				Eventf(corev1.EventTypeWarning, "StreamsKept", keptText), updated,
			},
		},
	}, {
		TableRow: TableRow{
			Name: "its namespace went first, contract and pods with it", Key: key,
			Objects:     []runtime.Object{broker(readyBroker, deletedAt(clock))},
			WantPatches: removed,
			WantEvents:  []string{Eventf(corev1.EventTypeWarning, "StreamsKept", keptText), updated},
		},
	}, {
		TableRow: TableRow{
			Name: "nobody is there yet", Key: key, WantErr: true,
			Objects: []runtime.Object{broker(deletedAt(clock.Add(-time.Second))), contractMap(t, purge)},
		},
	}})
}

const keptText = "Redis still holds the streams of Broker shop/main: no data plane was left to remove them (see sweepline leftovers)"

func told(p *corev1.Pod) { p.Annotations[contractAnnotation] = touchedValue(nextGen) }

func waitingForConfig(b *eventingv1.Broker) {
	mark(b).MarkUnknown(ConditionIngress, "ConfigInvalid", "Waiting for a valid spec.config")
	mark(b).MarkUnknown(ConditionDispatcher, "ConfigInvalid", "Waiting for a valid spec.config")
}
