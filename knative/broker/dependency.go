package broker

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrs "k8s.io/apimachinery/pkg/api/errors"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"
)

// follow makes the condition DependencyReady that of the object which the annotation
// knative.dev/dependency names, a source in the Trigger's own namespace, and has the
// Trigger reconciled again when that changes.
func (r *triggers) follow(ctx context.Context, t *eventingv1.Trigger) error {
	text, ok := t.Annotations[eventingv1.DependencyAnnotation]
	if !ok {
		t.Status.MarkDependencySucceeded()
		return nil
	}
	ref, err := eventingv1.GetObjRefFromDependencyAnnotation(text)
	if err != nil { // nothing to wait for but another Trigger
		t.Status.MarkDependencyFailed("ReferenceError", "%s does not name an object: %s", eventingv1.DependencyAnnotation, err)
		return nil
	}
	ref.Namespace = t.Namespace
	what := fmt.Sprintf("%s %s", ref.Kind, ref.Name)
	if err := r.sources.TrackInNamespace(ctx, t)(ref); err != nil {
		t.Status.MarkDependencyUnknown("DependencyNotWatched", "%s cannot be watched: %s", what, err)
		return fmt.Errorf("watch dependency: %w", err)
	}
	lister, err := r.sources.ListerFor(ref)
	if err != nil {
		t.Status.MarkDependencyUnknown("DependencyNotWatched", "%s cannot be watched: %s", what, err)
		return fmt.Errorf("list dependencies: %w", err)
	}
	object, err := lister.ByNamespace(t.Namespace).Get(ref.Name)
	switch {
	case apierrs.IsNotFound(err):
		t.Status.MarkDependencyFailed("DependencyDoesNotExist", "%s does not exist", what)
		return nil
	case err != nil:
		t.Status.MarkDependencyUnknown("DependencyGetFailed", "%s cannot be read: %s", what, err)
		return fmt.Errorf("get dependency: %w", err)
	}
	source, ok := object.(*duckv1.Source)
	if !ok {
		return fmt.Errorf("get dependency: it is a %T", object)
	}
	if source.Generation != source.Status.ObservedGeneration {
		t.Status.MarkDependencyUnknown("DependencyOutdated", "What %s says of itself is older than its last change", what)
		return nil
	}
	ready := source.Status.GetCondition(apis.ConditionReady)
	switch {
	case ready == nil:
		t.Status.MarkDependencyUnknown("DependencyNotReconciled", "%s does not say yet whether it is ready", what)
	case ready.Status == corev1.ConditionTrue:
		t.Status.MarkDependencySucceeded()
	case ready.Status == corev1.ConditionFalse:
		t.Status.MarkDependencyFailed(ready.Reason, "%s is not ready: %s", what, ready.Message)
	default:
		t.Status.MarkDependencyUnknown(ready.Reason, "%s is not ready yet: %s", what, ready.Message)
	}
	return nil
}

// waitsFor is the condition that keeps the Trigger from being subscribed, or nil: what
// it depends on, or the identity of its deliveries. Once subscribed it keeps its queue
// whatever happens, and is held while such a condition is not true.
func waitsFor(t *eventingv1.Trigger) *apis.Condition {
	for _, c := range []apis.ConditionType{eventingv1.TriggerConditionDependency, eventingv1.TriggerConditionOIDCIdentityCreated} {
		if condition := t.Status.GetCondition(c); condition == nil || !condition.IsTrue() {
			if condition == nil {
				condition = &apis.Condition{Type: c, Reason: "NotReconciled", Message: "it is not known yet"}
			}
			return condition
		}
	}
	return nil
}
