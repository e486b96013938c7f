package function_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/function"
)

// A field without a variable must not be read from that of its bare name: PORT is set in
// many shells.
func TestLoadReadsNoVariableThatIsNotNamed(t *testing.T) {
	t.Setenv("PORT", "1")
	var flags struct {
		Port int    `ignored:"true"`
		Name string `envconfig:"SWEEPLINE_TEST_NAME" default:"x"`
	}
	flags.Port = 2
	require.NoError(t, function.Load(&flags))
	require.Equal(t, 2, flags.Port)
	require.Equal(t, "x", flags.Name)
	var bare struct{ Port int }
	require.Panics(t, func() { _ = function.Load(&bare) })
}
