package function_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/sink"
)

type nested struct {
	Tries int           `envconfig:"SERVE_TEST_TRIES" default:"3"`
	Every time.Duration `envconfig:"SERVE_TEST_EVERY" default:"1s"`
}

type sample struct {
	URL   string `envconfig:"SERVE_TEST_URL" required:"true"`
	Token string `envconfig:"SERVE_TEST_TOKEN" required:"true"`
	Deep  nested
}

func TestLoad(t *testing.T) {
	t.Setenv("SERVE_TEST_URL", "redis://x")
	t.Setenv("SERVE_TEST_TOKEN", "token")
	t.Setenv("SERVE_TEST_TRIES", "7")
	var c sample
	require.NoError(t, function.Load(&c))
	require.Equal(t, sample{URL: "redis://x", Token: "token", Deep: nested{Tries: 7, Every: time.Second}}, c)
}

func TestLoadNamesAllThatIsMissing(t *testing.T) {
	t.Setenv("SERVE_TEST_TOKEN", "") // set but empty is missing too
	var c sample
	var d sink.Config
	err := function.Load(&c, &d)
	require.ErrorContains(t, err, "SERVE_TEST_URL is required")
	require.ErrorContains(t, err, "SERVE_TEST_TOKEN is required")
	require.ErrorContains(t, err, "K_SINK is required")
}

func TestLoadNamesTheVariableAndNotItsValue(t *testing.T) {
	for name, value := range map[string]string{"SERVE_TEST_TRIES": "hushhush", "SERVE_TEST_EVERY": "hushhush"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SERVE_TEST_URL", "x")
			t.Setenv("SERVE_TEST_TOKEN", "x")
			t.Setenv(name, value)
			var c sample
			err := function.Load(&c)
			require.ErrorContains(t, err, name+" is not a valid ")
			require.NotContains(t, err.Error(), "hushhush")
		})
	}
}
