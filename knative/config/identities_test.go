package config_test

import (
	"slices"
	"strings"
	"testing"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	eventingv1alpha1 "knative.dev/eventing/pkg/apis/eventing/v1alpha1"
	"knative.dev/eventing/pkg/auth"

	"github.com/zixly/sweepline/shared/broker/filter"
	"github.com/zixly/sweepline/shared/event"
)

// Whoever posts events has an identity of its own and the token that the Broker asks for,
// and the policy names exactly them: nobody else's events come in, and none of theirs is
// kept out.
func TestThePolicyNamesThosePosting(t *testing.T) {
	t.Parallel()
	audience := auth.GetAudience(eventingv1.SchemeGroupVersion.WithKind("Broker"), metav1.ObjectMeta{Namespace: "sweepline", Name: "default"})
	var posting, accounts []string
	var policies []eventingv1alpha1.EventPolicy
	for _, r := range withComponent(t, "policy") {
		switch {
		case r.GetKind() == "EventPolicy":
			var p eventingv1alpha1.EventPolicy
			decode(t, r, &p)
			text, err := r.MarshalJSON()
			require.NoError(t, err)
			require.NoError(t, validate(text, nil))
			policies = append(policies, p)
		case r.GetKind() == "ServiceAccount" && r.GetNamespace() == "sweepline":
			accounts = append(accounts, r.GetName())
		case r.GetApiVersion() == "serving.knative.dev/v1":
			text, err := r.AsYAML()
			require.NoError(t, err)
			pod, _ := podSpec(t, r)
			if !strings.Contains(string(text), "name: K_SINK\n") {
				require.Nil(t, pod["serviceAccountName"], "%s posts nothing", r.GetName())
				require.NotContains(t, string(text), "serviceAccountToken", r.GetName())
				continue
			}
			posting = append(posting, r.GetName())
			require.Equal(t, r.GetName(), pod["serviceAccountName"])
			require.Equal(t, false, pod["automountServiceAccountToken"], r.GetName())
			require.Contains(t, string(text), "audience: "+audience+"\n", r.GetName())
			require.Contains(t, string(text), "- mountPath: /oidc\n", r.GetName())
			require.Contains(t, string(text), "path: token\n", r.GetName())
		}
	}
	slices.Sort(posting)
	slices.Sort(accounts)
	require.Equal(t, []string{"api", "callback", "dashboard", "notify", "receive", "supervise"}, posting)
	require.Equal(t, posting, accounts)

	require.Len(t, policies, 1)
	var named []string
	for _, from := range policies[0].Spec.From {
		name, ok := strings.CutPrefix(*from.Sub, "system:serviceaccount:sweepline:")
		require.True(t, ok, *from.Sub)
		named = append(named, name)
	}
	slices.Sort(named)
	require.Equal(t, posting, named)
	require.Equal(t, "default", policies[0].Spec.To[0].Ref.Name)
	f, err := filter.Parse(`[{"prefix":{"type":"` + policies[0].Spec.Filters[0].Prefix["type"] + `"}}]`)
	require.NoError(t, err)
	for _, kind := range event.Types() {
		require.True(t, f.Match(ofType(kind)), kind)
	}
	require.False(t, f.Match(ofType("com.example.other")))
}

// Eventing's webhook refuses EventPolicies on a cluster that asks for no identities: what
// is applied to any has none.
func TestOverlaysNeedNoIdentities(t *testing.T) {
	t.Parallel()
	for _, root := range roots {
		for _, r := range build(t, root) {
			require.NotEqual(t, "EventPolicy", r.GetKind(), root)
		}
	}
}

// ofType is an event of which only the type matters.
type ofType string

func (o ofType) Attribute(name string) (string, bool) { return string(o), name == "type" }

func (o ofType) Event() cloudevents.Event {
	e := cloudevents.New()
	e.SetType(string(o))
	return e
}
