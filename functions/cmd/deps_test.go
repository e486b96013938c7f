// Package cmd holds one main for each step.
package cmd

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Function images are to stay small and start fast.
func TestFunctionBinariesHoldNothingOfTheClusterOrTheLaptop(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", "./...").Output()
	require.NoError(t, err)
	deps := strings.Fields(string(out))
	require.Contains(t, deps, "github.com/zixly/sweepline/functions/submit", "the list is of the mains")
	for _, dep := range deps {
		for _, heavy := range []string{"k8s.io/", "knative.dev/eventing", "knative.dev/pkg", "github.com/ncruces/go-sqlite3",
			"github.com/alicebob/miniredis", "github.com/pb33f", "github.com/santhosh-tekuri", "github.com/zixly/sweepline/local"} {
			require.False(t, strings.HasPrefix(dep, heavy), dep)
		}
	}
}
