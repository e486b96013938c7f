package config_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// network is what production's policies let a function do.
type network struct {
	t        *testing.T
	policies []networkingv1.NetworkPolicy
}

func productionNetwork(t *testing.T) network {
	t.Helper()
	n := network{t: t}
	for _, r := range build(t, "overlays/production") {
		if r.GetKind() != "NetworkPolicy" {
			continue
		}
		text, err := r.MarshalJSON()
		require.NoError(t, err)
		var p networkingv1.NetworkPolicy
		require.NoError(t, yaml.UnmarshalStrict(text, &p))
		n.policies = append(n.policies, p)
	}
	return n
}

func function(name string) labels.Set { return labels.Set{"serving.knative.dev/service": name} }

var broker = labels.Set{"app.kubernetes.io/name": "sweepline-broker", "app.kubernetes.io/component": "ingress"}

func (n network) matches(s *metav1.LabelSelector, l labels.Set) bool {
	n.t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(s)
	require.NoError(n.t, err)
	return selector.Matches(l)
}

// port reports whether one of ports is it; a rule without ports means all.
func port(ports []networkingv1.NetworkPolicyPort, want string) bool {
	return len(ports) == 0 || slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool { return p.Port == nil || p.Port.String() == want })
}

// reaches reports whether pods with labels l may go out to an address.
func (n network) reaches(l labels.Set, address, at string) bool {
	ip := netip.MustParseAddr(address)
	return n.out(l, at, func(peer networkingv1.NetworkPolicyPeer) bool {
		b := peer.IPBlock
		return b != nil && netip.MustParsePrefix(b.CIDR).Contains(ip) &&
			!slices.ContainsFunc(b.Except, func(e string) bool { return netip.MustParsePrefix(e).Contains(ip) })
	})
}

func (n network) reachesPod(l, other labels.Set, at string) bool {
	return n.out(l, at, func(peer networkingv1.NetworkPolicyPeer) bool {
		return peer.NamespaceSelector == nil && peer.PodSelector != nil && n.matches(peer.PodSelector, other)
	})
}

func (n network) out(l labels.Set, at string, peer func(networkingv1.NetworkPolicyPeer) bool) bool {
	for _, p := range n.policies {
		if !n.matches(&p.Spec.PodSelector, l) {
			continue
		}
		for _, rule := range p.Spec.Egress {
			if port(rule.Ports, at) && (len(rule.To) == 0 || slices.ContainsFunc(rule.To, peer)) {
				return true
			}
		}
	}
	return false
}

// takes reports whether pods with labels l take what comes from a namespace, or
// from a neighbour.
func (n network) takes(l labels.Set, namespace string, neighbour labels.Set, at string) bool {
	for _, p := range n.policies {
		if !n.matches(&p.Spec.PodSelector, l) {
			continue
		}
		for _, rule := range p.Spec.Ingress {
			if port(rule.Ports, at) && (len(rule.From) == 0 || slices.ContainsFunc(rule.From, func(peer networkingv1.NetworkPolicyPeer) bool {
				if peer.NamespaceSelector != nil {
					return namespace != "" && n.matches(peer.NamespaceSelector, labels.Set{"kubernetes.io/metadata.name": namespace})
				}
				return namespace == "" && peer.PodSelector != nil && n.matches(peer.PodSelector, neighbour)
			})) {
				return true
			}
		}
	}
	return false
}

// Each function reaches what it is set up with and nothing else; nobody reaches a
// metadata service.
func TestFunctionsReachWhatTheyNeedAndNothingElse(t *testing.T) {
	t.Parallel()
	n := productionNetwork(t)
	const inside, outside = "10.1.2.3", "203.0.113.9"
	seen := 0
	for _, r := range build(t, "overlays/production") {
		if r.GetApiVersion() != "serving.knative.dev/v1" {
			continue
		}
		seen++
		text, err := r.AsYAML()
		require.NoError(t, err)
		name, l := r.GetName(), function(r.GetName())
		has := func(variable string) bool { return strings.Contains(string(text), "name: "+variable+"\n") }
		require.Equal(t, has("REDIS_URL"), n.reaches(l, inside, "6379"), "%s: Redis", name)
		require.Equal(t, has("DATABASE_URL"), n.reaches(l, inside, "5432"), "%s: PostgreSQL", name)
		require.Equal(t, has("TRADING_API_URL"), n.reaches(l, inside, "443"), "%s: trading API", name)
		require.Equal(t, has("TRADING_API_URL") || has("SLACK_WEBHOOK_URL"), n.reaches(l, outside, "443"), "%s: 443", name)
		require.Equal(t, has("SMTP_URL"), n.reaches(l, outside, "587"), "%s: mail", name)
		require.Equal(t, has("K_SINK"), n.reachesPod(l, broker, "https"), "%s: broker", name)
		require.Equal(t, has("K_SINK"), has("K_CA_CERTS"), "%s: who vouches for the broker", name)
		require.False(t, n.reachesPod(l, broker, "http"), "%s: broker, in plain text", name)
		require.False(t, n.reaches(l, outside, "80"), "%s: plain http", name)
		require.False(t, n.reaches(l, outside, "5432"), "%s: a database anywhere", name)
		require.False(t, n.reachesPod(l, function("store"), "8012"), "%s: another function", name)
		require.False(t, n.takes(l, "", function("receive"), "8012"), "%s: from another function", name)
		require.False(t, n.takes(l, "default", nil, "8012"), "%s: from another namespace", name)
		require.True(t, n.takes(l, "knative-serving", nil, "8012"), "%s: from the activator", name)
		require.True(t, n.takes(l, "kourier-system", nil, "8012"), "%s: from the gateway", name)
		require.True(t, n.takes(l, "monitoring", nil, "9464"), "%s: metrics", name)
		require.False(t, n.takes(l, "kourier-system", nil, "9464"), "%s: metrics from the gateway", name)
		require.False(t, n.takes(l, "monitoring", nil, "8012"), "%s: requests from Prometheus", name)
	}
	require.Equal(t, 9, seen)
	for _, l := range []labels.Set{broker, function("notify"), function("submit"), function("store")} {
		for _, address := range []string{"169.254.169.254", "168.63.129.16", "100.100.100.200"} {
			for _, at := range []string{"80", "443", "6379", "5432"} {
				require.False(t, n.reaches(l, address, at), "%v: %s:%s", l, address, at)
			}
		}
	}
	require.True(t, n.takes(broker, "", function("receive"), "https"))
	require.False(t, n.takes(broker, "", function("receive"), "http"), "nobody posts in plain text")
	require.False(t, n.takes(broker, "", labels.Set{"app": "stranger"}, "https"), "only functions post events")
}

// Functions that nobody outside calls have no address outside.
func TestOnlyFourFunctionsArePublic(t *testing.T) {
	t.Parallel()
	var public []string
	for _, r := range build(t, "overlays/production") {
		if r.GetApiVersion() == "serving.knative.dev/v1" && r.GetLabels()["networking.knative.dev/visibility"] != "cluster-local" {
			public = append(public, r.GetName())
		}
	}
	slices.Sort(public)
	require.Equal(t, []string{"api", "callback", "dashboard", "receive"}, public)
}
