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
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
	})
	require.NoError(t, err)
	require.Equal(t, "mine", s.RedisSecret.Name)
	require.Equal(t, "url", s.RedisSecret.Key)
	require.EqualValues(t, 3, *s.IngressReplicas)
	require.Nil(t, s.DispatcherReplicas)
	require.Equal(t, []corev1.EnvVar{
		{Name: "BROKER_PARTITIONS", Value: "4"}, {Name: "BROKER_REQUIRE_DURABLE", Value: "true"}, {Name: "BROKER_RETENTION", Value: "1h"},
		{Name: "OTEL_EXPORTER_OTLP_ENDPOINT", Value: "http://collector:4318"},
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
		"BROKER_REQUIRE_DURABLE": "perhaps", "ca-certs": "none", "ca-certs-from": "a", "transport-encryption": "sometimes", "BROKER_ROLE": "both", "REDIS_URL": "redis://a", "pod": "spec: {container: []}",
	})
	require.Error(t, err)
	for _, name := range []string{
		"redis-secret:", "ingress-replicas:", "dispatcher-replicas:", "BROKER_RETENTION:", "BROKER_PARTITIONS:",
		"BROKER_REQUIRE_DURABLE:", "ca-certs:", "transport-encryption:", "BROKER_ROLE:", "REDIS_URL:", "pod:",
	} {
		require.ErrorContains(t, err, name)
	}
	for _, value := range []string{"redis://a", "a day", "few", "perhaps"} {
		require.NotContains(t, err.Error(), value, "what was put here by mistake may be a password")
	}
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
	d, err := makeDeployment(broker(), s, plainly, false, roleDispatcher, image)
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

// Whoever edits the ConfigMap gets no more than they have: no host, account,
// Secret, image or command, however it is written.
func TestThePodPatchHoldsNoMoreThanItMay(t *testing.T) {
	t.Parallel()
	for patch, names := range map[string][]string{
		"spec: {volumes: [{name: host, hostPath: {path: /}}], containers: [{name: broker, volumeMounts: [{name: host, mountPath: /host}]}]}": {"spec.volumes", "spec.containers.volumeMounts"},
		"spec: {containers: [{name: broker, securityContext: {privileged: true}}]}":                                                          {"spec.containers.securityContext"},
		"spec: {containers: [{name: broker, env: [{name: A, valueFrom: {secretKeyRef: {name: a, key: a}}}]}]}":                               {"spec.containers.env"},
		"spec: {containers: [{name: broker, image: evil/x, command: [sh], args: [x]}]}":                                                      {"spec.containers.args", "spec.containers.command", "spec.containers.image"},
		"spec: {containers: [{name: broker, resources: {claims: [{name: gpu}]}}]}":                                                           {"spec.containers.resources.claims"},
		"spec: {containers: [{name: evil, resources: {}}]}":                                                                                  {"spec.containers (only broker"},
		"spec: {containers: [{resources: {}}]}":                                                                                              {"spec.containers (only broker"},
		"spec: {initContainers: [{name: a, image: a}], ephemeralContainers: [{name: a}]}":                                                    {"spec.ephemeralContainers", "spec.initContainers"},
		"spec: {hostNetwork: true, hostPID: true, hostIPC: true}":                                                                            {"spec.hostIPC", "spec.hostNetwork", "spec.hostPID"},
		"spec: {serviceAccountName: admin, serviceAccount: admin, automountServiceAccountToken: true}":                                       {"spec.automountServiceAccountToken", "spec.serviceAccount", "spec.serviceAccountName"},
		"spec: {securityContext: {runAsUser: 0}, runtimeClassName: x, schedulerName: x, nodeName: x, imagePullSecrets: [{name: a}]}": {
			"spec.imagePullSecrets", "spec.nodeName", "spec.runtimeClassName", "spec.schedulerName", "spec.securityContext",
		},
		"spec: {HostPID: true}":                                {"pod:"}, // names are matched to the letter
		"Spec: {hostPID: true}":                                {"pod:"},
		"spec: {$patch: replace}":                              {"pod:"},
		"spec: {nodeSelector: {$patch: delete}}":               {"spec.nodeSelector.$patch"},
		"metadata: {annotations: {$patch: replace, a: b}}":     {"metadata.annotations.$patch"},
		"metadata: {name: x, namespace: y, finalizers: [a/b]}": {"metadata.finalizers", "metadata.name", "metadata.namespace"},
		"metadata: {labels: {app.kubernetes.io/name: x, serving.knative.dev/service: receive}}":        {"metadata.labels.app.kubernetes.io/name", "metadata.labels.serving.knative.dev/service"},
		"metadata: {annotations: {container.apparmor.security.beta.kubernetes.io/broker: unconfined}}": {"metadata.annotations.container.apparmor"},
	} {
		_, err := readSettings(map[string]string{"redis-secret": "redis", "pod": patch})
		require.ErrorContains(t, err, "pod: ", patch)
		for _, name := range names {
			require.ErrorContains(t, err, name, patch)
		}
	}
}

func TestThePodPatchMayScheduleAndSize(t *testing.T) {
	t.Parallel()
	s, err := readSettings(map[string]string{"redis-secret": "redis", "pod": `
metadata: {labels: {team: a}, annotations: {cost-centre: "7"}}
spec:
  nodeSelector: {disk: ssd}
  tolerations: [{key: a, operator: Exists}]
  affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Exists}]}]}}}
  topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]
  priorityClassName: high
  containers: [{name: broker, resources: {requests: {cpu: "1"}, limits: {memory: 1Gi}}}]
`})
	require.NoError(t, err)
	d, err := makeDeployment(broker(), s, plainly, false, roleIngress, image)
	require.NoError(t, err)
	pod := d.Spec.Template.Spec
	require.Equal(t, "ssd", pod.NodeSelector["disk"])
	require.Len(t, pod.Tolerations, 1)
	require.Len(t, pod.TopologySpreadConstraints, 1)
	require.NotNil(t, pod.Affinity.NodeAffinity)
	require.Equal(t, "a", d.Spec.Template.Labels["team"])
	require.Equal(t, "1", pod.Containers[0].Resources.Requests.Cpu().String())
	require.Equal(t, d.Spec.Selector.MatchLabels["app.kubernetes.io/name"], d.Spec.Template.Labels["app.kubernetes.io/name"])
}
