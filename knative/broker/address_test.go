package broker

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/eventing/pkg/apis/feature"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"
	. "knative.dev/pkg/reconciler/testing"

	"github.com/zixly/sweepline/shared/broker/manifest"
)

// authority is a certificate, as PEM.
var authority = sync.OnceValues(func() (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), err
})

func ca(t *testing.T) string {
	t.Helper()
	text, err := authority()
	require.NoError(t, err)
	return text
}

// encrypted is a standing data plane whose Broker names a certificate.
func encrypted(t *testing.T, how encryption, b *eventingv1.Broker) []runtime.Object {
	t.Helper()
	cm := settings("tls-secret", "tls", "ca-certs", ca(t))
	s, err := readSettings(cm.Data)
	require.NoError(t, err)
	return []runtime.Object{
		b, cm, service(t, how), contractMap(t, serving(firstGen)), endpoints(true),
		deploymentWith(t, s, how, roleIngress, available), deploymentWith(t, s, how, roleDispatcher, available),
	}
}

// authorities vouch for a certificate, in a ConfigMap of their own.
func authorities(certs string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "authorities"}, Data: map[string]string{"ca.crt": certs}}
}

func TestReconcileEncryption(t *testing.T) {
	runBrokers(t, []row{{
		flags: feature.Flags{feature.TransportEncryption: feature.Strict},
		TableRow: TableRow{
			Name: "https only, with a certificate", Key: key,
			Objects: encrypted(t, encryption{tls: true}, broker()),
			WantStatusUpdates: status(broker(readyBroker, func(b *eventingv1.Broker) {
				b.Status.SetAddress(httpsAddress(t))
				b.Status.Addresses = []duckv1.Addressable{*httpsAddress(t)}
			})),
		},
	}, {
		TableRow: TableRow{
			Name: "https only, by the Broker's own settings", Key: key,
			Objects: append(encrypted(t, encryption{tls: true}, broker())[2:], broker(), authorities(ca(t)),
				settings("tls-secret", "tls", "ca-certs-from", "authorities", "transport-encryption", "strict")),
			WantStatusUpdates: status(broker(readyBroker, func(b *eventingv1.Broker) {
				b.Status.SetAddress(httpsAddress(t))
				b.Status.Addresses = []duckv1.Addressable{*httpsAddress(t)}
			})),
		},
	}, {
		TableRow: TableRow{
			Name: "who vouches for it is not there yet", Key: key,
			Objects: []runtime.Object{broker(), settings("tls-secret", "tls", "ca-certs-from", "authorities")},
			WantStatusUpdates: status(broker(func(b *eventingv1.Broker) {
				mark(b).MarkFalse(ConditionConfig, "ConfigInvalid", `ca-certs-from: configmap "authorities" not found`)
				waitingForConfig(b)
			})),
		},
	}, {
		TableRow: TableRow{
			Name: "and is none", Key: key,
			Objects: []runtime.Object{broker(), authorities("?"), settings("tls-secret", "tls", "ca-certs-from", "authorities")},
			WantStatusUpdates: status(broker(func(b *eventingv1.Broker) {
				mark(b).MarkFalse(ConditionConfig, "ConfigInvalid", "ca-certs-from: ConfigMap authorities: ca.crt: holds no certificate as PEM")
				waitingForConfig(b)
			})),
			WantEvents: []string{Eventf(corev1.EventTypeWarning, "ConfigInvalid",
				"spec.config: ca-certs-from: ConfigMap authorities: ca.crt: holds no certificate as PEM")},
		},
	}, {
		flags: feature.Flags{feature.TransportEncryption: feature.Permissive},
		TableRow: TableRow{
			Name: "http and https", Key: key,
			Objects: encrypted(t, encryption{plain: true, tls: true}, broker()),
			WantStatusUpdates: status(broker(readyBroker, func(b *eventingv1.Broker) {
				b.Status.Addresses = []duckv1.Addressable{*httpsAddress(t), *b.Status.Address}
			})),
		},
	}, {
		flags: feature.Flags{feature.TransportEncryption: feature.Disabled},
		TableRow: TableRow{
			Name: "a certificate that the cluster does not want", Key: key,
			Objects:           encrypted(t, plainly, broker()),
			WantStatusUpdates: status(broker(readyBroker)),
		},
	}})
}

func httpsAddress(t *testing.T) *duckv1.Addressable {
	t.Helper()
	certs := ca(t)
	return &duckv1.Addressable{Name: ptr("https"), CACerts: &certs, URL: &apis.URL{
		Scheme: "https", Host: "main-broker-ingress.shop.svc.cluster.local", Path: "/shop/main",
	}}
}

func TestOnlyTheIngressHoldsTheCertificate(t *testing.T) {
	t.Parallel()
	s, err := readSettings(map[string]string{"redis-secret": "redis", "tls-secret": "tls"})
	require.NoError(t, err)
	for role, mounts := range map[string]int{roleIngress: 2, roleDispatcher: 1} {
		pod := deploymentWith(t, s, encryption{tls: true}, role).Spec.Template.Spec
		require.Len(t, pod.Containers[0].VolumeMounts, mounts, role)
		require.Len(t, pod.Volumes, mounts, role)
	}
	ports := service(t, encryption{tls: true}).Spec.Ports
	require.Len(t, ports, 1)
	require.EqualValues(t, 443, ports[0].Port)
	require.Equal(t, []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("http")}}, service(t, plainly).Spec.Ports)
}

func TestAnEntryTellsWhoVouchesForItsSubscriber(t *testing.T) {
	t.Parallel()
	subscriber, sink := ca(t), ca(t)
	tr := trigger(subscribed("https://sub.example.com/"))
	tr.Status.SubscriberCACerts = &subscriber
	tr.Spec.Delivery = &eventingduckv1.DeliverySpec{DeadLetterSink: &duckv1.Destination{URI: apis.HTTP("sink.example.com")}}
	tr.Status.DeliveryStatus = eventingduckv1.DeliveryStatus{DeadLetterSinkURI: apis.HTTPS("sink.example.com"), DeadLetterSinkCACerts: &sink}
	e := entryOf(t, tr, broker())
	text, err := json.Marshal(e)
	require.NoError(t, err)
	read, err := manifest.ReadTrigger(text)
	require.NoError(t, err)
	served, err := manifest.Build(read, nil, manifest.Options{})
	require.NoError(t, err)
	require.Equal(t, subscriber+"\n"+sink, served.CACerts)
}
