package config_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	eventingv1beta3 "knative.dev/eventing/pkg/apis/eventing/v1beta3"

	"github.com/zixly/sweepline/shared/event"
)

// What kubectl get eventtypes lists is what the pipeline sends, in the words of the schemas.
func TestEventTypesAreThoseOfThePipeline(t *testing.T) {
	t.Parallel()
	listed := map[string]bool{}
	for _, r := range build(t, "base") {
		if r.GetKind() != "EventType" {
			continue
		}
		var e eventingv1beta3.EventType
		decode(t, r, &e)
		attributes := map[string]string{}
		for _, a := range e.Spec.Attributes {
			attributes[a.Name] = a.Value
		}
		typ := attributes["type"]
		require.Contains(t, event.Types(), typ)
		require.False(t, listed[typ], "%s stands twice", typ)
		listed[typ] = true
		require.Equal(t, event.SchemaURN(typ), attributes["schemadata"])
		require.Equal(t, "Broker", e.Spec.Reference.Kind)
		text, err := event.Schemas.ReadFile("schemas/" + typ + ".json")
		require.NoError(t, err)
		var schema struct{ Description string }
		require.NoError(t, json.Unmarshal(text, &schema))
		require.Equal(t, schema.Description, e.Spec.Description, typ)
	}
	require.Len(t, listed, len(event.Types()))
}
