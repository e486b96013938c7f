package broker

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/pkg/kmeta"
)

const (
	containerName = "broker"

	ingressPort  = 8080
	tlsPort      = 8443
	contractPath = "/etc/sweepline/contract"
	tlsPath      = "/etc/sweepline/tls"
	tokensPath   = "/etc/sweepline/tokens" //nolint:gosec // a folder
	// drainSeconds leaves the data plane its 20 s to finish deliveries, after the
	// few in which endpoints forget it.
	drainSeconds = 45
)

// makeService is where events are posted: the address of the Broker.
func makeService(b *eventingv1.Broker, how encryption) (*corev1.Service, error) {
	var ports []corev1.ServicePort
	if how.plain {
		ports = append(ports, corev1.ServicePort{Name: "http", Port: 80, TargetPort: intstr.FromString("http")})
	}
	if how.tls {
		ports = append(ports, corev1.ServicePort{Name: "https", Port: 443, TargetPort: intstr.FromString("https")})
	}
	s := &corev1.Service{
		ObjectMeta: metaOf(b, ingressName(b), roleIngress),
		Spec: corev1.ServiceSpec{
			Selector: labelsOfRole(b, roleIngress),
			Ports:    ports,
		},
	}
	return s, sign(&s.ObjectMeta, s.Spec)
}

// makeDeployment is one role of the data plane. The pods meet the restricted
// Pod Security standard and hold no credentials for the API server.
// With identities, deliveries carry tokens.
func makeDeployment(b *eventingv1.Broker, s Settings, how encryption, identities bool, role, image string) (*appsv1.Deployment, error) {
	name, replicas := ingressName(b), s.IngressReplicas
	if role == roleDispatcher {
		name, replicas = dispatcherName(b), s.DispatcherReplicas
	}
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{
			Labels: labelsOfRole(b, role),
			Annotations: map[string]string{
				brokerAnnotation:       b.Name,
				"prometheus.io/scrape": "true",
				"prometheus.io/port":   fmt.Sprint(adminPort),
			},
		},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken:  ptr(false),
			EnableServiceLinks:            ptr(false),
			TerminationGracePeriodSeconds: ptr(int64(drainSeconds)),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot:   ptr(true),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{container(b, s, role, image)},
			Volumes: []corev1.Volume{{
				Name: "contract",
				VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
					LocalObjectReference: corev1.LocalObjectReference{Name: contractName(b)},
				}},
			}},
		},
	}
	if role == roleIngress && how.tls {
		addTLS(&template.Spec, s.TLSSecret)
	}
	if identities {
		addTokens(&template.Spec, tokensName(b))
	}
	template, err := patched(template, s.Pod)
	if err != nil {
		return nil, err
	}
	d := &appsv1.Deployment{
		ObjectMeta: metaOf(b, name, role),
		Spec: appsv1.DeploymentSpec{
			Replicas: replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labelsOfRole(b, role)},
			Strategy: appsv1.DeploymentStrategy{
				Type: appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{
					MaxUnavailable: ptr(intstr.FromInt32(0)), MaxSurge: ptr(intstr.FromInt32(1)),
				},
			},
			Template: template,
		},
	}
	return d, sign(&d.ObjectMeta, d.Spec)
}

func container(b *eventingv1.Broker, s Settings, role, image string) corev1.Container {
	env := []corev1.EnvVar{
		{Name: "BROKER_ROLE", Value: role},
		{Name: "BROKER_CONTRACT", Value: contractPath},
		{Name: "REDIS_URL", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &s.RedisSecret}},
	}
	return corev1.Container{
		Name:  containerName,
		Image: image,
		Env:   append(env, s.Env...),
		Ports: []corev1.ContainerPort{
			{Name: "http", ContainerPort: ingressPort},
			{Name: "admin", ContainerPort: adminPort},
		},
		VolumeMounts:   []corev1.VolumeMount{{Name: "contract", MountPath: contractPath, ReadOnly: true}},
		ReadinessProbe: probe("/readyz", 2, 3),
		LivenessProbe:  probe("/healthz", 10, 6),
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("20m"), corev1.ResourceMemory: resource.MustParse("48Mi"),
			},
			Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("256Mi")},
		},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: ptr(false),
			ReadOnlyRootFilesystem:   ptr(true),
			RunAsNonRoot:             ptr(true),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		// What the process says last becomes the Broker's condition.
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
	}
}

// addTLS mounts the certificate; the process takes up a renewed one by itself.
// Plain http stays open inside the pod, where the Service leads no one to it.
func addTLS(pod *corev1.PodSpec, secret string) {
	pod.Volumes = append(pod.Volumes, corev1.Volume{
		Name: "tls", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: secret}},
	})
	c := &pod.Containers[0]
	c.Env = append(c.Env, corev1.EnvVar{Name: "BROKER_TLS", Value: tlsPath})
	c.Ports = append(c.Ports, corev1.ContainerPort{Name: "https", ContainerPort: tlsPort})
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "tls", MountPath: tlsPath, ReadOnly: true})
}

// addTokens mounts what deliveries prove their identities with. The Secret is there once
// a Trigger needs it.
func addTokens(pod *corev1.PodSpec, secret string) {
	pod.Volumes = append(pod.Volumes, corev1.Volume{
		Name: "tokens", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: secret, Optional: ptr(true)}},
	})
	c := &pod.Containers[0]
	c.Env = append(c.Env, corev1.EnvVar{Name: "BROKER_TOKENS", Value: tokensPath})
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "tokens", MountPath: tokensPath, ReadOnly: true})
}

func probe(path string, period, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:     corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString("admin")}},
		PeriodSeconds:    period,
		TimeoutSeconds:   5,
		FailureThreshold: failures,
	}
}

// patched merges the settings' patch into the template. Labels that select the
// pods cannot be patched away: the API server refuses that.
func patched(t corev1.PodTemplateSpec, patch []byte) (corev1.PodTemplateSpec, error) {
	if patch == nil {
		return t, nil
	}
	text, err := json.Marshal(t)
	if err != nil {
		return t, fmt.Errorf("encode pod template: %w", err)
	}
	if text, err = strategicpatch.StrategicMergePatch(text, patch, corev1.PodTemplateSpec{}); err != nil {
		return t, fmt.Errorf("patch pod template: %w", err)
	}
	var out corev1.PodTemplateSpec
	if err := json.Unmarshal(text, &out); err != nil {
		return t, fmt.Errorf("decode pod template: %w", err)
	}
	return out, nil
}

func metaOf(b *eventingv1.Broker, name, role string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: b.Namespace, Name: name, Labels: labelsOfRole(b, role),
		OwnerReferences: []metav1.OwnerReference{*kmeta.NewControllerRef(b)},
	}
}

// sign notes the digest of the spec on the object.
func sign(m *metav1.ObjectMeta, spec any) error {
	text, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("encode %s: %w", m.Name, err)
	}
	sum := sha256.Sum256(text)
	m.Annotations = map[string]string{specAnnotation: hex.EncodeToString(sum[:8])}
	return nil
}

func ptr[T any](v T) *T { return &v }
