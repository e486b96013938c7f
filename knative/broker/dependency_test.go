package broker

import (
	"testing"

	"github.com/stretchr/testify/require"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	rt "knative.dev/eventing/pkg/reconciler/testing/v1"
)

// The webhook refuses such an annotation, but may have been away.
func TestADependencyThatNamesNothing(t *testing.T) {
	t.Parallel()
	tr := trigger(rt.WithDependencyAnnotation("[]"))
	require.NoError(t, (&triggers{}).follow(t.Context(), tr))
	c := tr.Status.GetCondition(eventingv1.TriggerConditionDependency)
	require.True(t, c.IsFalse())
	require.Equal(t, "ReferenceError", c.Reason)
	require.Equal(t, eventingv1.TriggerConditionDependency, waitsFor(tr).Type)
}
