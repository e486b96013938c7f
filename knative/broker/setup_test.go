package broker

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clientgotesting "k8s.io/client-go/testing"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/eventing/pkg/apis/feature"
	fakeeventingclient "knative.dev/eventing/pkg/client/injection/client/fake"
	brokerreconciler "knative.dev/eventing/pkg/client/injection/reconciler/eventing/v1/broker"
	triggerreconciler "knative.dev/eventing/pkg/client/injection/reconciler/eventing/v1/trigger"
	"knative.dev/eventing/pkg/duck"
	rt "knative.dev/eventing/pkg/reconciler/testing/v1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"
	v1addr "knative.dev/pkg/client/injection/ducks/duck/v1/addressable"
	_ "knative.dev/pkg/client/injection/ducks/duck/v1/addressable/fake"
	"knative.dev/pkg/client/injection/ducks/duck/v1/source"
	kubeclient "knative.dev/pkg/client/injection/kube/client/fake"
	"knative.dev/pkg/configmap"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/reconciler"
	pkgtesting "knative.dev/pkg/reconciler/testing"
	"knative.dev/pkg/resolver"
	"knative.dev/pkg/tracker"

	"github.com/zixly/sweepline/knative/contract/write"
	"github.com/zixly/sweepline/knative/health"
)

const (
	ns         = "shop"
	brokerName = "main"
	image      = "example.com/broker:1"
	key        = ns + "/" + brokerName
)

// clock is the time of all tests; contracts that are written get it as their
// generation.
var (
	clock    = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	nextGen  = clock.UnixMilli()
	firstGen = nextGen - 1000
)

func TestMain(m *testing.M) {
	registerConditions()
	m.Run()
}

// pods says which generation each pod serves; a pod it does not name is silent.
type pods map[string]int64

func (p pods) acks(said map[string]health.Status) *Acks {
	return &Acks{
		known: map[types.UID]int64{},
		ask: func(_ context.Context, address string) (int64, error) {
			if g, ok := p[address]; ok {
				return g, nil
			}
			return 0, errors.New("connection refused")
		},
		health: func(_ context.Context, address string) (health.Status, error) {
			if s, ok := said[address]; ok {
				return s, nil
			}
			return health.Status{}, errors.New("connection refused")
		},
	}
}

func planeFor(ctx context.Context, l *rt.Listers, r row) *dataPlane {
	return &dataPlane{
		kube: kubeclient.Get(ctx), configMaps: l.GetConfigMapLister(), services: l.GetServiceLister(),
		pods: l.GetPodLister(), deployments: l.GetDeploymentLister(), endpoints: l.GetEndpointSliceLister(),
		acks: r.pods.acks(r.said), image: image,
		now: func() time.Time { return clock },
	}
}

// row is a table row and what the pods say in it.
type row struct {
	pkgtesting.TableRow
	pods  pods
	said  map[string]health.Status
	flags feature.Flags
	// issuer is what the API server says of the issuer of tokens, by path.
	issuer map[string]string
}

func (r row) issuerOf() *issuer {
	return &issuer{
		now: func() time.Time { return clock }, known: map[string]issued{},
		apiServer: func(_ context.Context, path string) ([]byte, error) {
			if text, ok := r.issuer[path]; ok {
				return []byte(text), nil
			}
			return nil, errors.New("connection refused")
		},
	}
}

type flags struct{ feature.Flags }

func (f flags) ToContext(ctx context.Context) context.Context {
	return feature.ToContext(ctx, f.Flags)
}

func runBrokers(t *testing.T, rows []row) {
	t.Helper()
	for _, r := range rows {
		t.Run(r.Name, func(t *testing.T) {
			r.Test(t, rt.MakeFactory(func(ctx context.Context, l *rt.Listers, _ configmap.Watcher) controller.Reconciler {
				ctx = v1addr.WithDuck(ctx)
				track := tracker.New(func(types.NamespacedName) {}, 0)
				return brokerreconciler.NewReconciler(ctx, zap.NewNop().Sugar(), fakeeventingclient.Get(ctx), l.GetBrokerLister(),
					controller.GetEventRecorder(ctx), &brokers{
						dataPlane: planeFor(ctx, l, r), triggers: l.GetTriggerLister(),
						policies: l.GetEventPolicyLister(), issuer: r.issuerOf(), tokens: newTokens(kubeclient.Get(ctx), func() time.Time { return clock }),
						resolver: resolver.NewURIResolverFromTracker(ctx, track), tracker: track, system: "knative-eventing",
					}, Class, controller.Options{FinalizerName: brokerFinalizer, ConfigStore: flags{r.flags}})
			}, false, zap.NewNop().Sugar()))
		})
	}
}

func runTriggers(t *testing.T, rows []row) {
	t.Helper()
	for _, r := range rows {
		t.Run(r.Name, func(t *testing.T) {
			r.Test(t, rt.MakeFactory(func(ctx context.Context, l *rt.Listers, _ configmap.Watcher) controller.Reconciler {
				ctx = source.WithDuck(v1addr.WithDuck(ctx))
				track := tracker.New(func(types.NamespacedName) {}, 0)
				return triggerreconciler.NewReconciler(ctx, zap.NewNop().Sugar(), fakeeventingclient.Get(ctx), l.GetTriggerLister(),
					controller.GetEventRecorder(ctx), &triggers{
						dataPlane: planeFor(ctx, l, r), brokers: l.GetBrokerLister(),
						resolver: resolver.NewURIResolverFromTracker(ctx, track),
						accounts: l.GetServiceAccountLister(),
						sources:  duck.NewListableTrackerFromTracker(ctx, source.Get, track),
					}, controller.Options{FinalizerName: triggerFinalizer, ConfigStore: flags{r.flags}})
			}, false, zap.NewNop().Sugar()))
		})
	}
}

var _ reconciler.ConfigStore = flags{}

// broker is one of our class, with finalizer and configuration.
func broker(options ...func(*eventingv1.Broker)) *eventingv1.Broker {
	b := rt.NewBroker(brokerName, ns, rt.WithBrokerClass(Class), rt.WithInitBrokerConditions, rt.WithBrokerFinalizers(brokerFinalizer),
		rt.WithBrokerConfig(&duckv1.KReference{APIVersion: "v1", Kind: "ConfigMap", Name: "settings", Namespace: ns}))
	b.UID = "broker-uid"
	for _, o := range options {
		o(b)
	}
	return b
}

func readyBroker(b *eventingv1.Broker) {
	mark(b).MarkTrue(ConditionConfig)
	mark(b).MarkTrue(ConditionIngress)
	mark(b).MarkTrue(ConditionDispatcher)
	b.Status.MarkDeadLetterSinkNotConfigured()
	openToAll(b)
	addressed(b)
}

// openToAll is a Broker of a cluster that asks nobody who it is.
func openToAll(b *eventingv1.Broker) {
	b.Status.MarkEventPoliciesTrueWithReason("OIDCDisabled", "EventPolicies need authentication-oidc")
}

func addressed(b *eventingv1.Broker) {
	b.Status.SetAddress(&duckv1.Addressable{URL: &apis.URL{
		Scheme: "http", Host: "main-broker-ingress.shop.svc.cluster.local", Path: "/shop/main",
	}})
}

func deletedAt(at time.Time) func(*eventingv1.Broker) {
	return func(b *eventingv1.Broker) { b.DeletionTimestamp = &metav1.Time{Time: at} }
}

func settings(pairs ...string) *corev1.ConfigMap {
	data := map[string]string{"redis-secret": "redis"}
	for i := 0; i < len(pairs); i += 2 {
		data[pairs[i]] = pairs[i+1]
	}
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "settings"}, Data: data}
}

// contractMap is the ConfigMap of a contract.
func contractMap(t *testing.T, c write.Contract) *corev1.ConfigMap {
	t.Helper()
	data, err := c.Encode()
	require.NoError(t, err)
	b := broker()
	m := metaOf(b, contractName(b), "")
	m.Labels = labelsOf(b)
	return &corev1.ConfigMap{ObjectMeta: m, Data: data}
}

func serving(generation int64, entries ...eventingv1.Trigger) write.Contract {
	return write.Contract{Generation: generation, Broker: brokerEntry(broker()), Triggers: entries}
}

func service(t *testing.T, how encryption) *corev1.Service {
	t.Helper()
	s, err := makeService(broker(), how)
	require.NoError(t, err)
	return s
}

// endpoints lead from the Broker's address to an ingress pod.
func endpoints(ready bool) *discoveryv1.EndpointSlice {
	name := ingressName(broker())
	return &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: ns, Name: name + "-x", Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr(ready)}}},
	}
}

func deployment(t *testing.T, role string, cm *corev1.ConfigMap, options ...func(*appsv1.Deployment)) *appsv1.Deployment {
	t.Helper()
	s, err := readSettings(cm.Data)
	require.NoError(t, err)
	return deploymentWith(t, s, plainly, role, options...)
}

func deploymentWith(t *testing.T, s Settings, how encryption, role string, options ...func(*appsv1.Deployment)) *appsv1.Deployment {
	t.Helper()
	d, err := makeDeployment(broker(), s, how, false, role, image)
	require.NoError(t, err)
	for _, o := range options {
		o(d)
	}
	return d
}

// plainly is what a Broker without a certificate speaks.
var plainly = encryption{plain: true}

func available(d *appsv1.Deployment) { d.Status.AvailableReplicas = 1 }

func pod(name, role string, options ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: ns, Name: name, UID: types.UID(name), Labels: labelsOfRole(broker(), role),
			Annotations: map[string]string{brokerAnnotation: brokerName, contractAnnotation: fmt.Sprint(firstGen)},
		},
		Status: corev1.PodStatus{PodIP: name, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
	for _, o := range options {
		o(p)
	}
	return p
}

// at is the address that a pod of pod() is asked at.
func at(name string) string { return name + ":9090" }

func touched(name string, generation int64) clientgotesting.PatchActionImpl {
	p := clientgotesting.PatchActionImpl{Name: name}
	p.Namespace = ns
	p.Patch = fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"%d"}}}`, contractAnnotation, generation)
	return p
}

func trigger(options ...rt.TriggerOption) *eventingv1.Trigger {
	t := rt.NewTrigger("t", ns, brokerName, append([]rt.TriggerOption{
		rt.WithTriggerUID("trigger-uid"), rt.WithTriggerSubscriberURI("http://sub.example.com/"), rt.WithInitTriggerConditions,
	}, options...)...)
	t.Finalizers = []string{triggerFinalizer}
	return t
}

func subscribed(uri string) rt.TriggerOption {
	return func(t *eventingv1.Trigger) {
		u, _ := apis.ParseURL(uri)
		t.Status.SubscriberURI = u
	}
}

func entryOf(t *testing.T, tr *eventingv1.Trigger, b *eventingv1.Broker) eventingv1.Trigger {
	t.Helper()
	e, err := entry(tr, b)
	require.NoError(t, err)
	return e
}

func status(b *eventingv1.Broker) []clientgotesting.UpdateActionImpl {
	return []clientgotesting.UpdateActionImpl{{Object: b}}
}

func statusOf(t *eventingv1.Trigger) []clientgotesting.UpdateActionImpl {
	return []clientgotesting.UpdateActionImpl{{Object: t}}
}

func touchedValue(generation int64) string { return fmt.Sprint(generation) }

// finalizers is the patch that leaves exactly these on an object.
func finalizers(name string, want ...string) clientgotesting.PatchActionImpl {
	p := clientgotesting.PatchActionImpl{Name: name}
	p.Namespace = ns
	list := ""
	for _, f := range want {
		list += fmt.Sprintf("%q", f)
	}
	p.Patch = fmt.Appendf(nil, `{"metadata":{"finalizers":[%s],"resourceVersion":""}}`, list)
	return p
}
