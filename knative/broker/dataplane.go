package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"sort"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrs "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	appsv1listers "k8s.io/client-go/listers/apps/v1"
	corev1listers "k8s.io/client-go/listers/core/v1"
	discoveryv1listers "k8s.io/client-go/listers/discovery/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/pkg/controller"

	"github.com/zixly/sweepline/knative/contract/write"
	"github.com/zixly/sweepline/knative/health"
)

// dataPlane is what both reconcilers know of the data planes: the objects that
// make one up, the contract it has, and what its pods say of it.
type dataPlane struct {
	kube        kubernetes.Interface
	configMaps  corev1listers.ConfigMapLister
	services    corev1listers.ServiceLister
	pods        corev1listers.PodLister
	deployments appsv1listers.DeploymentLister
	endpoints   discoveryv1listers.EndpointSliceLister
	acks        *Acks
	image       string
	now         func() time.Time
}

// applyDeployment creates the Deployment, or updates it when what we want of it
// has changed since we wrote it last. Replicas that are nil stay as they are.
func (d *dataPlane) applyDeployment(ctx context.Context, b *eventingv1.Broker, want *appsv1.Deployment) (*appsv1.Deployment, error) {
	there, err := d.deployments.Deployments(want.Namespace).Get(want.Name)
	switch {
	case apierrs.IsNotFound(err):
		made, err := d.kube.AppsV1().Deployments(want.Namespace).Create(ctx, want, metav1.CreateOptions{})
		if apierrs.IsAlreadyExists(err) { // the cache is behind, or leaves it out
			if there, found := d.kube.AppsV1().Deployments(want.Namespace).Get(ctx, want.Name, metav1.GetOptions{}); found == nil && !metav1.IsControlledBy(there, b) {
				return nil, errStranger("deployment", want.Name)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("create deployment %s: %w", want.Name, err)
		}
		controller.GetEventRecorder(ctx).Eventf(b, corev1.EventTypeNormal, "DataPlaneCreated", "Created Deployment %s", want.Name)
		return made, nil
	case err != nil:
		return nil, fmt.Errorf("get deployment %s: %w", want.Name, err)
	case !metav1.IsControlledBy(there, b):
		return nil, errStranger("deployment", want.Name)
	case there.Annotations[specAnnotation] == want.Annotations[specAnnotation]:
		return there, nil
	}
	next := there.DeepCopy()
	next.Labels, next.Annotations = want.Labels, want.Annotations
	replicas := next.Spec.Replicas
	next.Spec = want.Spec
	if want.Spec.Replicas == nil {
		next.Spec.Replicas = replicas
	}
	made, err := d.kube.AppsV1().Deployments(want.Namespace).Update(ctx, next, metav1.UpdateOptions{})
	if err != nil {
		return nil, fmt.Errorf("update deployment %s: %w", want.Name, err)
	}
	controller.GetEventRecorder(ctx).Eventf(b, corev1.EventTypeNormal, "DataPlaneUpdated", "Updated Deployment %s", want.Name)
	return made, nil
}

func (d *dataPlane) applyService(ctx context.Context, b *eventingv1.Broker, want *corev1.Service) error {
	there, err := d.services.Services(want.Namespace).Get(want.Name)
	switch {
	case apierrs.IsNotFound(err):
		_, err = d.kube.CoreV1().Services(want.Namespace).Create(ctx, want, metav1.CreateOptions{})
		if apierrs.IsAlreadyExists(err) {
			if there, found := d.kube.CoreV1().Services(want.Namespace).Get(ctx, want.Name, metav1.GetOptions{}); found == nil && !metav1.IsControlledBy(there, b) {
				return errStranger("service", want.Name)
			}
		}
	case err != nil:
	case !metav1.IsControlledBy(there, b):
		return errStranger("service", want.Name)
	case there.Annotations[specAnnotation] != want.Annotations[specAnnotation]:
		next := there.DeepCopy()
		next.Annotations = want.Annotations
		next.Spec.Selector, next.Spec.Ports = want.Spec.Selector, want.Spec.Ports
		_, err = d.kube.CoreV1().Services(want.Namespace).Update(ctx, next, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("apply service %s: %w", want.Name, err)
	}
	return nil
}

func errStranger(kind, name string) error {
	return fmt.Errorf("%s %s: is there already and not the Broker's", kind, name)
}

// ask has a pod of the role that is not ready say what it lacks; the answer is empty
// where none can be asked.
func (d *dataPlane) ask(ctx context.Context, b *eventingv1.Broker, role string) (health.Status, error) {
	pods, err := d.podsOf(b, role)
	if err != nil {
		return health.Status{}, err
	}
	for _, p := range pods {
		if ready(p) || p.Status.Phase != corev1.PodRunning || p.Status.PodIP == "" {
			continue
		}
		said, err := d.acks.health(ctx, net.JoinHostPort(p.Status.PodIP, strconv.Itoa(adminPort)))
		if err != nil {
			return health.Status{}, nil //nolint:nilerr // it says nothing, which is no failure of ours
		}
		return said, nil
	}
	return health.Status{}, nil
}

// podsOf lists a role's pods that are not on their way out, by name.
func (d *dataPlane) podsOf(b *eventingv1.Broker, role string) ([]*corev1.Pod, error) {
	all, err := d.pods.Pods(b.Namespace).List(selector(labelsOfRole(b, role)))
	if err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	var pods []*corev1.Pod
	for _, p := range all {
		if p.DeletionTimestamp.IsZero() && p.Annotations[brokerAnnotation] == b.Name {
			pods = append(pods, p)
		}
	}
	sort.Slice(pods, func(i, j int) bool { return pods[i].Name < pods[j].Name })
	return pods, nil
}

// touch changes an annotation on each pod that has not been told of this
// generation: kubelet then updates the mount at once and not within a minute.
func (d *dataPlane) touch(ctx context.Context, b *eventingv1.Broker, c write.Contract) error {
	value := strconv.FormatInt(c.Generation, 10)
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{contractAnnotation: value}}})
	if err != nil {
		return fmt.Errorf("encode patch: %w", err)
	}
	for _, role := range []string{roleIngress, roleDispatcher} {
		pods, err := d.podsOf(b, role)
		if err != nil {
			return err
		}
		for _, p := range pods {
			if p.Annotations[contractAnnotation] == value {
				continue
			}
			_, err := d.kube.CoreV1().Pods(p.Namespace).Patch(ctx, p.Name, types.MergePatchType, patch, metav1.PatchOptions{})
			if err != nil && !apierrs.IsNotFound(err) {
				return fmt.Errorf("touch pod %s: %w", p.Name, err)
			}
		}
	}
	return nil
}

// served reports whether all pods that are ready serve that generation, and how
// many those are. A pod that is not ready yet takes up the contract before it
// becomes so. The error names the first that lags.
func (d *dataPlane) served(ctx context.Context, b *eventingv1.Broker, generation int64) (int, error) {
	n := 0
	for _, role := range []string{roleIngress, roleDispatcher} {
		pods, err := d.podsOf(b, role)
		if err != nil {
			return n, err
		}
		for _, p := range pods {
			if !ready(p) {
				continue
			}
			if err := d.acks.has(ctx, p, generation); err != nil {
				return n, err
			}
			n++
		}
	}
	return n, nil
}

func ready(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue && p.Status.PodIP != ""
		}
	}
	return false
}

// trouble says what keeps a role's pods from running, as kubelet says it: a
// missing Secret, for one. Empty reason: nothing that is known.
func (d *dataPlane) trouble(b *eventingv1.Broker, role string) (reason, message string, err error) {
	pods, err := d.podsOf(b, role)
	if err != nil {
		return "", "", err
	}
	for _, p := range pods {
		for _, s := range p.Status.ContainerStatuses {
			if w := s.State.Waiting; w != nil && w.Message != "" {
				return w.Reason, w.Message, nil
			}
			if t := s.LastTerminationState.Terminated; t != nil && !s.Ready && t.Message != "" {
				return t.Reason, t.Message, nil
			}
		}
	}
	return "", "", nil
}
