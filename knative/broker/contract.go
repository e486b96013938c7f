package broker

import (
	"context"
	"fmt"
	"maps"
	"sort"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrs "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/pkg/kmeta"

	"github.com/zixly/sweepline/knative/contract/write"
	"github.com/zixly/sweepline/shared/broker/manifest"
)

// compose makes the Broker's contract from its Triggers. A Trigger that cannot
// be resolved now, or was made invalid, keeps the entry it had: without one it
// would lose its group, and the events that wait in it. One that waits for a condition
// gets no entry before that is true, and is held where it has one.
func compose(b *eventingv1.Broker, triggers []*eventingv1.Trigger, old write.Contract) write.Contract {
	c := write.Contract{Broker: brokerEntry(b)}
	for _, t := range triggers {
		if !belongs(t, b) || !t.DeletionTimestamp.IsZero() {
			continue
		}
		e, err := entry(t, b)
		last, subscribed := find(old, t)
		waits := waitsFor(t) != nil
		if err != nil || waits {
			if !subscribed {
				continue
			}
			if err != nil {
				e = last
			}
			if waits {
				e = held(e)
			}
		}
		c.Triggers = append(c.Triggers, e)
	}
	sort.Slice(c.Triggers, func(i, j int) bool { return c.Triggers[i].Name < c.Triggers[j].Name })
	return c
}

// held is the entry with its deliveries stopped.
func held(e eventingv1.Trigger) eventingv1.Trigger {
	e.Annotations = maps.Clone(e.Annotations)
	if e.Annotations == nil {
		e.Annotations = make(map[string]string, 1)
	}
	e.Annotations[manifest.HoldAnnotation] = "true"
	return e
}

// find gives a Trigger's entry; one of an earlier Trigger of that name does not
// count.
func find(c write.Contract, t *eventingv1.Trigger) (eventingv1.Trigger, bool) {
	for _, e := range c.Triggers {
		if e.Name == t.Name && e.UID == t.UID {
			return e, true
		}
	}
	return eventingv1.Trigger{}, false
}

// contractOf gives the contract in force, empty if there is none.
func (d *dataPlane) contractOf(b *eventingv1.Broker) (write.Contract, error) {
	cm, err := d.configMaps.ConfigMaps(b.Namespace).Get(contractName(b))
	if apierrs.IsNotFound(err) {
		return write.Contract{}, nil
	}
	if err != nil {
		return write.Contract{}, fmt.Errorf("get contract: %w", err)
	}
	c, err := write.Decode(cm.Data)
	if err != nil {
		return write.Contract{}, fmt.Errorf("contract %s: %w", cm.Name, err)
	}
	return c, nil
}

// put writes next as the contract, unless it says what old says, and gives the
// one in force.
func (d *dataPlane) put(ctx context.Context, b *eventingv1.Broker, old, next write.Contract) (write.Contract, error) {
	if old.Generation != 0 && write.Same(old, next) {
		return old, nil
	}
	// Time, so that a contract made anew is newer than what was there before.
	next.Generation = max(old.Generation+1, d.now().UnixMilli())
	data, err := next.Encode()
	if err != nil {
		return old, err
	}
	cm := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: b.Namespace, Name: contractName(b), Labels: labelsOf(b),
			OwnerReferences: []metav1.OwnerReference{*kmeta.NewControllerRef(b)},
		},
		Data: data,
	}
	maps := d.kube.CoreV1().ConfigMaps(b.Namespace)
	there, err := d.configMaps.ConfigMaps(b.Namespace).Get(cm.Name)
	switch {
	case apierrs.IsNotFound(err):
		_, err = maps.Create(ctx, cm, metav1.CreateOptions{})
	case err == nil:
		// The version makes a write from an outdated cache fail, not win.
		cm.ResourceVersion = there.ResourceVersion
		_, err = maps.Update(ctx, cm, metav1.UpdateOptions{})
	}
	if err != nil {
		return old, fmt.Errorf("write contract: %w", err)
	}
	return next, nil
}

func now() time.Time { return time.Now() }
