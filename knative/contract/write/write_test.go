package write_test

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"github.com/zixly/sweepline/knative/contract"
	"github.com/zixly/sweepline/knative/contract/write"
)

func whole() write.Contract {
	meta := func(kind, name string) (metav1.TypeMeta, metav1.ObjectMeta) {
		return metav1.TypeMeta{APIVersion: "eventing.knative.dev/v1", Kind: kind},
			metav1.ObjectMeta{Namespace: "shop", Name: name, UID: "uid-of-it"}
	}
	c := write.Contract{Generation: 12, Broker: &eventingv1.Broker{}}
	c.Broker.TypeMeta, c.Broker.ObjectMeta = meta("Broker", "main")
	for _, name := range []string{"one", "two"} {
		var t eventingv1.Trigger
		t.TypeMeta, t.ObjectMeta = meta("Trigger", name)
		t.Annotations = map[string]string{"sweepline.dev/ordered": "true"}
		retry, delay := int32(3), "PT2S"
		t.Spec = eventingv1.TriggerSpec{
			Broker:     "main",
			Filters:    []eventingv1.SubscriptionsAPIFilter{{CESQL: "type = 'a\n---\nb'"}},
			Subscriber: duckv1.Destination{URI: apis.HTTP("sub.example.com")},
			Delivery: &eventingduckv1.DeliverySpec{
				Retry: &retry, BackoffDelay: &delay, DeadLetterSink: &duckv1.Destination{URI: apis.HTTP("letters.example.com")},
			},
		}
		c.Triggers = append(c.Triggers, t)
	}
	return c
}

func TestEncodedIsDecoded(t *testing.T) {
	t.Parallel()
	c := whole()
	data, err := c.Encode()
	require.NoError(t, err)
	back, err := write.Decode(data)
	require.NoError(t, err)
	require.Equal(t, c.Generation, back.Generation)
	require.True(t, write.Same(c, back))
	require.Len(t, back.Triggers, 2)

	back.Triggers[1].Spec.Filters[0].CESQL = "TRUE"
	require.False(t, write.Same(c, back))
}

func TestMountedIsServed(t *testing.T) {
	t.Parallel()
	data, err := whole().Encode()
	require.NoError(t, err)
	fsys := fstest.MapFS{}
	for name, text := range data {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	s, err := contract.Read(fsys)
	require.NoError(t, err)
	require.EqualValues(t, 12, s.Generation)
	require.EqualValues(t, 12, s.Set.Version)
	require.Equal(t, "shop/main", s.Broker)
	require.Len(t, s.Set.Triggers, 2)
	require.True(t, s.Set.Triggers[0].Ordered)
	require.Equal(t, "http://letters.example.com", s.Set.Triggers[0].Delivery.DeadLetterSink)

	// Of a newer controller, perhaps: the rest is served.
	fsys["triggers.yaml"].Data = append([]byte("apiVersion: eventing.knative.dev/v1\nkind: Trigger\n"+
		"metadata: {namespace: shop, name: new}\nspec: {broker: main, unheard: 1, subscriber: {uri: http://a}}\n"), fsys["triggers.yaml"].Data...)
	s, err = contract.Read(fsys)
	require.NoError(t, err)
	require.Len(t, s.Set.Triggers, 2)
	require.Len(t, s.Set.Invalid, 1)
	require.Equal(t, "new", s.Set.Invalid[0].Name)

	fsys["triggers.yaml"].Data = []byte("nonsense: [")
	_, err = contract.Read(fsys)
	require.Error(t, err)
}

func TestAPurgeServesNothing(t *testing.T) {
	t.Parallel()
	data, err := write.Contract{Generation: 3, Purge: "shop/main"}.Encode()
	require.NoError(t, err)
	fsys := fstest.MapFS{}
	for name, text := range data {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	s, err := contract.Read(fsys)
	require.NoError(t, err)
	require.Equal(t, "shop/main", s.Purge)
	require.Equal(t, "shop/main", s.Broker)
	require.Empty(t, s.Set.Brokers)
}

func TestAnEmptyMapIsNoContract(t *testing.T) {
	t.Parallel()
	c, err := write.Decode(nil)
	require.NoError(t, err)
	require.Zero(t, c)
	_, err = write.Decode(map[string]string{"generation": "soon"})
	require.Error(t, err)
}
