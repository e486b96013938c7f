package broker

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

func TestReadSettings(t *testing.T) {
	t.Parallel()
	s, err := readSettings(map[string]string{
		"redis-secret": "mine", "redis-secret-key": "url", "ingress-replicas": "3", "dispatcher-replicas": autoscaled,
		"BROKER_RETENTION": "1h", "BROKER_PARTITIONS": "4", "BROKER_REQUIRE_DURABLE": "true",
	})
	require.NoError(t, err)
	require.Equal(t, "mine", s.RedisSecret.Name)
	require.Equal(t, "url", s.RedisSecret.Key)
	require.EqualValues(t, 3, *s.IngressReplicas)
	require.Nil(t, s.DispatcherReplicas)
	require.Equal(t, []corev1.EnvVar{
		{Name: "BROKER_PARTITIONS", Value: "4"}, {Name: "BROKER_REQUIRE_DURABLE", Value: "true"}, {Name: "BROKER_RETENTION", Value: "1h"},
	}, s.Env)
}

func TestDefaultSettings(t *testing.T) {
	t.Parallel()
	s, err := readSettings(map[string]string{"redis-secret": "redis"})
	require.NoError(t, err)
	require.Equal(t, "REDIS_URL", s.RedisSecret.Key)
	require.EqualValues(t, 2, *s.IngressReplicas)
	require.EqualValues(t, 2, *s.DispatcherReplicas)
}

func TestWrongSettingsAreAllNamed(t *testing.T) {
	t.Parallel()
	_, err := readSettings(map[string]string{
		"ingress-replicas": "-1", "dispatcher-replicas": "few", "BROKER_RETENTION": "a day", "BROKER_PARTITIONS": "x",
		"BROKER_REQUIRE_DURABLE": "perhaps", "ca-certs": "none", "BROKER_ROLE": "both", "REDIS_URL": "redis://a", "pod": "spec: {container: []}",
	})
	require.Error(t, err)
	for _, name := range []string{
		"redis-secret:", "ingress-replicas:", "dispatcher-replicas:", "BROKER_RETENTION:", "BROKER_PARTITIONS:",
		"BROKER_REQUIRE_DURABLE:", "ca-certs:", "BROKER_ROLE:", "REDIS_URL:", "pod:",
	} {
		require.ErrorContains(t, err, name)
	}
	require.NotContains(t, err.Error(), "redis://a", "a URL that was put here by mistake may hold a password")
}

func TestThePodPatchIsMerged(t *testing.T) {
	t.Parallel()
	s, err := readSettings(map[string]string{"redis-secret": "redis", "pod": `
metadata: {annotations: {a: b}}
spec:
  priorityClassName: high
  containers:
  - name: broker
    resources: {limits: {memory: 1Gi}}
`})
	require.NoError(t, err)
	d, err := makeDeployment(broker(), s, plainly, roleDispatcher, image)
	require.NoError(t, err)
	template := d.Spec.Template
	require.Equal(t, "b", template.Annotations["a"])
	require.Equal(t, brokerName, template.Annotations[brokerAnnotation])
	require.Equal(t, "high", template.Spec.PriorityClassName)
	require.Len(t, template.Spec.Containers, 1)
	require.Equal(t, "1Gi", template.Spec.Containers[0].Resources.Limits.Memory().String())
	require.Equal(t, image, template.Spec.Containers[0].Image)
	require.True(t, *template.Spec.Containers[0].SecurityContext.ReadOnlyRootFilesystem)
}

// Long names are cut, but stay apart.
func TestNamesOfLongBrokers(t *testing.T) {
	t.Parallel()
	one, two := broker(), broker()
	one.Name = "a-broker-with-a-name-that-is-much-longer-than-any-label-may-be-in-kubernetes-1"
	two.Name = one.Name[:len(one.Name)-1] + "2"
	require.LessOrEqual(t, len(ingressName(one)), 63)
	require.NotEqual(t, ingressName(one), ingressName(two))
	require.NotEqual(t, labelsOf(one), labelsOf(two))
	for _, v := range labelsOf(one) {
		require.LessOrEqual(t, len(v), 63)
	}
}
