package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The command and the data plane hold no Kubernetes, half of all they would be
// built from: of its packages only the one that reads YAML.
func TestNoKubernetes(t *testing.T) {
	t.Parallel()
	for _, program := range []string{".", "../../../knative/cmd/broker"} {
		out, err := exec.Command("go", "list", "-deps", program).Output()
		require.NoError(t, err)
		deps := strings.Fields(string(out))
		require.Contains(t, deps, "github.com/zixly/sweepline/shared/broker/manifest", "the list is of the programs")
		for _, dep := range deps {
			for _, heavy := range []string{"k8s.io/", "sigs.k8s.io/", "knative.dev/eventing", "knative.dev/pkg"} {
				if dep != "sigs.k8s.io/yaml" {
					require.False(t, strings.HasPrefix(dep, heavy), "%s: %s", program, dep)
				}
			}
		}
	}
}
