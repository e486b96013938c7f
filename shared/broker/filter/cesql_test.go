package filter

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	sqlerrors "github.com/cloudevents/sdk-go/sql/v2/errors"
	"github.com/cloudevents/sdk-go/v2/binding/spec"
	"github.com/cloudevents/sdk-go/v2/event"
	cetest "github.com/cloudevents/sdk-go/v2/test"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// The SDK's module holds the conformance kit of CESQL 1.0. What it asks of values
// and errors is asked of the tree that is built here.
func TestCESQLConformanceKit(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/cloudevents/sdk-go/sql/v2").Output()
	require.NoError(t, err)
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "test", "tck", "*.yaml"))
	require.NoError(t, err)
	cases := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var kit struct {
			Tests []struct {
				Name, Expression, Error string
				Result                  any
				Event                   *event.Event
				EventOverrides          map[string]any
			}
		}
		require.NoError(t, yaml.Unmarshal(text, &kit))
		for _, c := range kit.Tests {
			cases++
			at := filepath.Base(file) + ": " + c.Name
			x, err := parseCESQL(c.Expression)
			if c.Error == "parse" {
				require.Error(t, err, at)
				continue
			}
			require.NoError(t, err, at)
			e := cetest.FullEvent()
			if c.Event != nil {
				e = *c.Event
			}
			e.SetSpecVersion(event.CloudEventsVersionV1)
			for k, v := range c.EventOverrides {
				require.NoError(t, spec.V1.SetAttribute(e.Context, k, v), at)
			}
			value, err := x.root.Evaluate(e)
			is := map[string]func(error) bool{
				"": func(err error) bool { return err == nil }, "math": sqlerrors.IsMathError, "cast": sqlerrors.IsCastError,
				"missingFunction": sqlerrors.IsMissingFunctionError, "functionEvaluation": sqlerrors.IsFunctionEvaluationError,
				"missingAttribute": sqlerrors.IsMissingAttributeError, "generic": sqlerrors.IsGenericError,
			}[c.Error]
			require.NotNil(t, is, at)
			require.True(t, is(err), "%s: %v", at, err)
			if n, ok := value.(int32); ok {
				value = float64(n)
			} else if n, ok := value.(int); ok {
				value = float64(n)
			}
			require.Equal(t, c.Result, value, at)
		}
	}
	require.Greater(t, cases, 150)
}
