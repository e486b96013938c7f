package config_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"

	"github.com/zixly/sweepline/shared/openapi"
)

// httpRoute is what is used of an HTTPRoute, by the fields' names in the Gateway API.
type httpRoute struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Metadata   map[string]any `json:"metadata"`
	Spec       struct {
		ParentRefs []struct{ Name, Namespace string } `json:"parentRefs"`
		Hostnames  []string                           `json:"hostnames"`
		Rules      []struct {
			Matches []struct {
				Path struct{ Type, Value string } `json:"path"`
			} `json:"matches"`
			Filters []struct {
				Type       string                    `json:"type"`
				URLRewrite struct{ Hostname string } `json:"urlRewrite"`
			} `json:"filters"`
			BackendRefs []struct {
				Name, Namespace string
				Port            int
			} `json:"backendRefs"`
			Timeouts struct{ Request string } `json:"timeouts"`
		} `json:"rules"`
	} `json:"spec"`
}

// led is a path that leads to a function.
type led struct {
	path, to string
	exact    bool
}

// destination is the function that a path leads to: an exact one before the longest prefix.
func destination(all []led, path string) (to string) {
	longest := -1
	for _, l := range all {
		prefix := strings.TrimSuffix(l.path, "/")
		switch {
		case l.exact && l.path == path:
			return l.to
		case !l.exact && (path == prefix || strings.HasPrefix(path, prefix+"/")) && len(prefix) > longest:
			longest, to = len(prefix), l.to
		}
	}
	return to
}

func functionOf(t *testing.T, host string) string {
	t.Helper()
	name, rest, _ := strings.Cut(host, ".")
	require.Equal(t, "sweepline.svc.cluster.local", rest)
	return name
}

// Whatever somebody outside asks for by its documented path comes to the function that
// answers it, however the paths are routed.
func TestOneHostLeadsToAllThatIsPublic(t *testing.T) {
	t.Parallel()
	ways := map[string][]led{}
	for _, r := range build(t, "testdata/one-host-gateway") {
		if r.GetKind() != "HTTPRoute" {
			continue
		}
		text, err := r.AsYAML()
		require.NoError(t, err)
		var route httpRoute
		require.NoError(t, yaml.UnmarshalStrict(text, &route))
		require.Equal(t, []string{"sweepline.example.com"}, route.Spec.Hostnames, "of WEBHOOK_BASE_URL")
		for _, rule := range route.Spec.Rules {
			require.Len(t, rule.Filters, 1)
			require.Len(t, rule.BackendRefs, 1)
			for _, m := range rule.Matches {
				ways["gateway"] = append(ways["gateway"], led{m.Path.Value, functionOf(t, rule.Filters[0].URLRewrite.Hostname), m.Path.Type == "Exact"})
			}
		}
	}
	for _, r := range build(t, "testdata/one-host-ingress") {
		if r.GetKind() != "Ingress" {
			continue
		}
		text, err := r.MarshalJSON()
		require.NoError(t, err)
		require.NoError(t, validate(text, nil))
		var in networkingv1.Ingress
		require.NoError(t, json.Unmarshal(text, &in))
		require.Equal(t, "sweepline.example.com", in.Spec.Rules[0].Host, "of WEBHOOK_BASE_URL")
		to := functionOf(t, in.Annotations["nginx.ingress.kubernetes.io/upstream-vhost"])
		for _, p := range in.Spec.Rules[0].HTTP.Paths {
			require.Equal(t, to, p.Backend.Service.Name)
			ways["ingress"] = append(ways["ingress"], led{p.Path, to, *p.PathType == networkingv1.PathTypeExact})
		}
	}

	var document struct{ Paths map[string]any }
	require.NoError(t, json.Unmarshal(openapi.Document(), &document))
	want := map[string]string{"/": "dashboard", "/jobs/1": "dashboard", "/assets/app.js": "dashboard", "/apiary": "dashboard", "/login": "dashboard"}
	for path := range document.Paths {
		switch {
		case path == "/webhook/trading-sweep":
			want[path] = "receive"
		case path == "/webhook/sweep-callback":
			want[path] = "callback"
		case path != "/healthz" && path != "/readyz": // every process's own
			want[path] = "api"
		}
	}
	require.Greater(t, len(want), 20)
	for _, way := range []string{"gateway", "ingress"} {
		for path, function := range want {
			require.Equal(t, function, destination(ways[way], path), "%s by %s", path, way)
		}
	}
}
