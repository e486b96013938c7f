package config_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/yaml"
)

// TestTheControllerWritesWhereBrokersAreOnly: in production it changes ConfigMaps,
// Services, Deployments, pods, identities and their tokens of the namespace sweepline,
// and of no other. What is for the whole cluster lets it read. It reads no Secret anywhere.
func TestTheControllerWritesWhereBrokersAreOnly(t *testing.T) {
	t.Parallel()
	all := build(t, "overlays/production")
	rules := map[string][]rbacv1.PolicyRule{}
	for _, r := range all {
		if r.GetKind() == "ClusterRole" {
			var role rbacv1.ClusterRole
			decode(t, r, &role)
			rules[role.Name] = role.Rules
		}
	}
	bound := map[string][]string{}
	for _, r := range all {
		switch r.GetKind() {
		case "ClusterRoleBinding", "RoleBinding":
			var b rbacv1.ClusterRoleBinding // of the same form
			decode(t, r, &b)
			if b.RoleRef.Kind == "ClusterRole" {
				bound[r.GetNamespace()] = append(bound[r.GetNamespace()], b.RoleRef.Name)
			}
		}
	}
	require.Equal(t, []string{"sweepline-broker-dataplane", "sweepline-broker-identities"}, bound["sweepline"])
	require.Contains(t, bound[""], "sweepline-broker-controller")
	writes := func(roles []string) (of []string) {
		for _, name := range roles {
			for _, rule := range rules[name] {
				if slices.Contains(rule.Resources, "secrets") {
					require.Equal(t, []string{"create", "update"}, rule.Verbs)
				}
				require.NotContains(t, append(slices.Clone(rule.Resources), rule.Verbs...), "*")
				if slices.ContainsFunc(rule.Verbs, func(v string) bool { return !slices.Contains([]string{"get", "list", "watch"}, v) }) {
					of = append(of, rule.Resources...)
				}
			}
		}
		slices.Sort(of)
		return slices.Compact(of)
	}
	require.Equal(t, []string{
		"configmaps", "deployments", "pods", "secrets", "serviceaccounts", "serviceaccounts/token", "services",
	}, writes(bound["sweepline"]))
	require.Equal(t, []string{
		"brokers", "brokers/finalizers", "brokers/status", "events", "triggers", "triggers/finalizers", "triggers/status",
	}, writes(bound[""]))
}

func decode(t *testing.T, r *resource.Resource, into any) {
	t.Helper()
	text, err := r.MarshalJSON()
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, into))
}
