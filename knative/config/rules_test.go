package config_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/zixly/sweepline/shared/servers/servertest"
)

// runbook is where runbooks are read, but for the alert.
const runbook = "https://github.com/zixly/sweepline/blob/main/knative/config/components/monitoring/RUNBOOKS.md#"

// promtool judges the alert rules, and that each goes off when it should and
// not before: testdata/rules.test.yaml.
func TestAlertRules(t *testing.T) {
	t.Parallel()
	promtool := servertest.Program(t, "promtool")
	text, err := os.ReadFile("components/monitoring/610-rules.yaml")
	require.NoError(t, err)
	var manifest struct {
		Spec map[string]any `json:"spec"`
	}
	require.NoError(t, yaml.Unmarshal(text, &manifest))
	rules, err := yaml.Marshal(manifest.Spec)
	require.NoError(t, err)
	cases, err := os.ReadFile("testdata/rules.test.yaml")
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "rules.yaml"), rules, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "rules.test.yaml"), cases, 0o600))
	for _, args := range [][]string{{"check", "rules", "rules.yaml"}, {"test", "rules", "rules.test.yaml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = dir
		said, err := cmd.CombinedOutput()
		require.NoError(t, err, "promtool %v: %s", args, said)
	}

	var parsed struct {
		Groups []struct {
			Rules []struct {
				Alert       string
				Annotations map[string]string
			}
		} `json:"groups"`
	}
	require.NoError(t, yaml.Unmarshal(rules, &parsed))
	runbooks, err := os.ReadFile("components/monitoring/RUNBOOKS.md")
	require.NoError(t, err)
	for _, g := range parsed.Groups {
		for _, r := range g.Rules {
			require.Contains(t, string(runbooks), "\n## "+r.Alert+"\n", "its runbook")
			require.Equal(t, runbook+strings.ToLower(r.Alert), r.Annotations["runbook_url"], r.Alert)
			require.Regexp(t, `(?s)eval_time: \d+m\n    alertname: `+r.Alert+`\n    exp_alerts:`, string(cases), "a moment at which it goes off")
		}
	}
}
