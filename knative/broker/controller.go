package broker

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"knative.dev/eventing/pkg/apis/eventing"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/eventing/pkg/apis/feature"
	"knative.dev/eventing/pkg/auth"
	brokerinformer "knative.dev/eventing/pkg/client/injection/informers/eventing/v1/broker"
	triggerinformer "knative.dev/eventing/pkg/client/injection/informers/eventing/v1/trigger"
	policyinformer "knative.dev/eventing/pkg/client/injection/informers/eventing/v1alpha1/eventpolicy"
	brokerreconciler "knative.dev/eventing/pkg/client/injection/reconciler/eventing/v1/broker"
	triggerreconciler "knative.dev/eventing/pkg/client/injection/reconciler/eventing/v1/trigger"
	eventinglisters "knative.dev/eventing/pkg/client/listers/eventing/v1"
	"knative.dev/eventing/pkg/duck"
	"knative.dev/pkg/client/injection/ducks/duck/v1/source"
	kubeclient "knative.dev/pkg/client/injection/kube/client"
	deploymentinformer "knative.dev/pkg/client/injection/kube/informers/apps/v1/deployment/filtered"
	configmapinformer "knative.dev/pkg/client/injection/kube/informers/core/v1/configmap"
	podinformer "knative.dev/pkg/client/injection/kube/informers/core/v1/pod/filtered"
	serviceinformer "knative.dev/pkg/client/injection/kube/informers/core/v1/service/filtered"
	accountinformer "knative.dev/pkg/client/injection/kube/informers/core/v1/serviceaccount/filtered"
	endpointsliceinformer "knative.dev/pkg/client/injection/kube/informers/discovery/v1/endpointslice/filtered"
	"knative.dev/pkg/configmap"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/injection"
	"knative.dev/pkg/logging"
	"knative.dev/pkg/reconciler"
	"knative.dev/pkg/resolver"
	"knative.dev/pkg/system"
)

// Our finalizers have names of their own: other classes put theirs on the same
// kinds.
const (
	brokerFinalizer  = "brokers.redisstreams.sweepline.dev"
	triggerFinalizer = "triggers.redisstreams.sweepline.dev"
)

// Selectors are for the filtered informers: the context of Controllers must carry them.
func Selectors() []string { return []string{ManagedBySelector, auth.OIDCLabelSelector} }

// Controllers are the two of the class, to be run in one process that serves no
// other class. image is that of the data plane.
func Controllers(image string) []injection.ControllerConstructor {
	registerConditions()
	acks := NewAcks()
	return []injection.ControllerConstructor{
		func(ctx context.Context, w configmap.Watcher) *controller.Impl {
			return newBrokers(ctx, w, image, acks)
		},
		func(ctx context.Context, w configmap.Watcher) *controller.Impl {
			return newTriggers(ctx, w, image, acks)
		},
	}
}

func newDataPlane(ctx context.Context, image string, acks *Acks) *dataPlane {
	return &dataPlane{
		kube:        kubeclient.Get(ctx),
		configMaps:  configmapinformer.Get(ctx).Lister(),
		services:    serviceinformer.Get(ctx, ManagedBySelector).Lister(),
		pods:        podinformer.Get(ctx, ManagedBySelector).Lister(),
		deployments: deploymentinformer.Get(ctx, ManagedBySelector).Lister(),
		endpoints:   endpointsliceinformer.Get(ctx, ManagedBySelector).Lister(), // they have their Service's labels
		acks:        acks,
		image:       image,
		now:         now,
	}
}

func newBrokers(ctx context.Context, watcher configmap.Watcher, image string, acks *Acks) *controller.Impl {
	r := &brokers{
		dataPlane: newDataPlane(ctx, image, acks), triggers: triggerinformer.Get(ctx).Lister(),
		policies: policyinformer.Get(ctx).Lister(), issuer: newIssuer(kubeclient.Get(ctx), now), tokens: newTokens(kubeclient.Get(ctx), now), system: system.Namespace(),
	}
	mine := reconciler.AnnotationFilterFunc(eventing.BrokerClassKey, Class, false)
	var resync func()
	features := feature.NewStore(logging.FromContext(ctx), func(string, any) { resync() })
	impl := brokerreconciler.NewImpl(ctx, r, Class, func(*controller.Impl) controller.Options {
		return controller.Options{ConfigStore: features, FinalizerName: brokerFinalizer, PromoteFilterFunc: mine}
	})
	// The address follows the cluster's flags.
	resync = func() { impl.FilteredGlobalResync(mine, brokerinformer.Get(ctx).Informer()) }
	features.WatchConfigs(watcher)
	r.tracker = impl.Tracker
	r.resolver = resolver.NewURIResolverFromTracker(ctx, impl.Tracker)

	owned := cache.FilteringResourceEventHandler{
		FilterFunc: controller.FilterController(&eventingv1.Broker{}),
		Handler:    controller.HandleAll(impl.EnqueueControllerOf),
	}
	handle(brokerinformer.Get(ctx).Informer(), cache.FilteringResourceEventHandler{
		FilterFunc: mine, Handler: controller.HandleAll(impl.Enqueue),
	})
	handle(deploymentinformer.Get(ctx, ManagedBySelector).Informer(), owned)
	handle(serviceinformer.Get(ctx, ManagedBySelector).Informer(), owned)
	handle(endpointsliceinformer.Get(ctx, ManagedBySelector).Informer(), controller.HandleAll(func(obj any) {
		s, ok := last(obj).(*discoveryv1.EndpointSlice)
		if !ok {
			return
		}
		if service, err := r.services.Services(s.Namespace).Get(s.Labels[discoveryv1.LabelServiceName]); err == nil {
			impl.EnqueueControllerOf(service)
		}
	}))
	handle(configmapinformer.Get(ctx).Informer(), owned)
	handle(configmapinformer.Get(ctx).Informer(), controller.HandleAll(
		controller.EnsureTypeMeta(impl.Tracker.OnChanged, corev1.SchemeGroupVersion.WithKind("ConfigMap"))))
	handle(triggerinformer.Get(ctx).Informer(), controller.HandleAll(func(obj any) {
		if t, ok := obj.(*eventingv1.Trigger); ok {
			impl.EnqueueKey(types.NamespacedName{Namespace: t.Namespace, Name: t.Spec.Broker})
		}
	}))
	all := brokerinformer.Get(ctx)
	handle(policyinformer.Get(ctx).Informer(), auth.EventPolicyEventHandler(all.Informer().GetIndexer(), brokerKind.GroupKind(), func(key types.NamespacedName) {
		if b, err := all.Lister().Brokers(key.Namespace).Get(key.Name); err == nil && ours(b) {
			impl.EnqueueKey(key)
		}
	}))
	pods := podinformer.Get(ctx, ManagedBySelector).Informer()
	handle(pods, controller.HandleAll(func(obj any) { impl.EnqueueKey(brokerOfPod(obj)) }))
	handle(pods, cache.ResourceEventHandlerFuncs{DeleteFunc: func(obj any) {
		if p, ok := last(obj).(*corev1.Pod); ok {
			acks.forget(p.UID)
		}
	}})
	return impl
}

func newTriggers(ctx context.Context, watcher configmap.Watcher, image string, acks *Acks) *controller.Impl {
	brokerInformer, triggerInformer := brokerinformer.Get(ctx), triggerinformer.Get(ctx)
	accountInformer := accountinformer.Get(ctx, auth.OIDCLabelSelector)
	r := &triggers{dataPlane: newDataPlane(ctx, image, acks), brokers: brokerInformer.Lister(), accounts: accountInformer.Lister()}
	mine := ofOurs(r.brokers)
	features := feature.NewStore(logging.FromContext(ctx))
	impl := triggerreconciler.NewImpl(ctx, r, func(*controller.Impl) controller.Options {
		return controller.Options{ConfigStore: features, FinalizerName: triggerFinalizer, PromoteFilterFunc: mine}
	})
	features.WatchConfigs(watcher)
	r.resolver = resolver.NewURIResolverFromTracker(ctx, impl.Tracker)
	r.sources = duck.NewListableTrackerFromTracker(ctx, source.Get, impl.Tracker)

	// enqueueAll has all Triggers of a Broker looked at.
	enqueueAll := func(broker types.NamespacedName) {
		all, err := triggerInformer.Lister().Triggers(broker.Namespace).List(labels.Everything())
		if err != nil {
			logging.FromContext(ctx).Errorw("Triggers cannot be listed", "error", err)
			return
		}
		for _, t := range all {
			if t.Spec.Broker == broker.Name && mine(t) {
				impl.Enqueue(t)
			}
		}
	}
	handle(triggerInformer.Informer(), cache.FilteringResourceEventHandler{
		FilterFunc: mine, Handler: controller.HandleAll(impl.Enqueue),
	})
	handle(brokerInformer.Informer(), controller.HandleAll(func(obj any) {
		if b, ok := last(obj).(*eventingv1.Broker); ok && ours(b) {
			enqueueAll(types.NamespacedName{Namespace: b.Namespace, Name: b.Name})
		}
	}))
	handle(accountInformer.Informer(), cache.FilteringResourceEventHandler{
		FilterFunc: controller.FilterController(&eventingv1.Trigger{}),
		Handler: controller.HandleAll(func(obj any) {
			a, ok := last(obj).(*corev1.ServiceAccount)
			if !ok {
				return
			}
			owner := metav1.GetControllerOf(a)
			if t, err := triggerInformer.Lister().Triggers(a.Namespace).Get(owner.Name); err == nil && mine(t) { // other classes' Triggers have accounts, too
				impl.Enqueue(t)
			}
		}),
	})
	handle(configmapinformer.Get(ctx).Informer(), cache.FilteringResourceEventHandler{
		FilterFunc: controller.FilterController(&eventingv1.Broker{}),
		Handler: controller.HandleAll(func(obj any) {
			if cm, ok := last(obj).(*corev1.ConfigMap); ok {
				for _, o := range cm.OwnerReferences {
					enqueueAll(types.NamespacedName{Namespace: cm.Namespace, Name: o.Name})
				}
			}
		}),
	})
	handle(podinformer.Get(ctx, ManagedBySelector).Informer(), controller.HandleAll(func(obj any) { enqueueAll(brokerOfPod(obj)) }))
	return impl
}

// ofOurs lets through Triggers whose Broker is of our class, and those that
// still carry our finalizer. All others must not be touched: reconciling one
// would put the finalizer on it.
func ofOurs(all eventinglisters.BrokerLister) func(any) bool {
	return func(obj any) bool {
		t, ok := last(obj).(*eventingv1.Trigger)
		if !ok {
			return false
		}
		if slices.Contains(t.Finalizers, triggerFinalizer) {
			return true
		}
		b, err := all.Brokers(t.Namespace).Get(t.Spec.Broker)
		return err == nil && ours(b) && belongs(t, b)
	}
}

func brokerOfPod(obj any) types.NamespacedName {
	if p, ok := last(obj).(*corev1.Pod); ok {
		return types.NamespacedName{Namespace: p.Namespace, Name: p.Annotations[brokerAnnotation]}
	}
	return types.NamespacedName{}
}

// last unwraps an object whose deletion was missed.
func last(obj any) any {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		return gone.Obj
	}
	return obj
}

// handle adds a handler. It can only go wrong on an informer that was stopped,
// which none is before the process ends.
func handle(i cache.SharedIndexInformer, h cache.ResourceEventHandler) {
	_, _ = i.AddEventHandler(h)
}
