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
	URL   string `envconfig:"SERVE_TEST_URL" required:"nonempty"`
	Token string `envconfig:"SERVE_TEST_TOKEN" required:"nonempty"`
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

// TestLoadWith: what the caller knows stands in place of the environment, which stays
// as it is for whoever else reads it.
func TestLoadWith(t *testing.T) {
	t.Setenv("SERVE_TEST_URL", "http://theirs")
	t.Setenv("SERVE_TEST_TOKEN", "")
	var c, d sample
	require.NoError(t, function.LoadWith(map[string]string{"SERVE_TEST_URL": "http://ours", "SERVE_TEST_TOKEN": "ours"}, &c))
	require.Equal(t, "http://ours", c.URL)
	require.Equal(t, "ours", c.Token)
	require.Equal(t, 3, c.Deep.Tries)
	require.ErrorContains(t, function.Load(&d), "SERVE_TEST_TOKEN is required")
	require.ErrorContains(t, function.LoadWith(map[string]string{"SERVE_TEST_URL": ""}, &d), "SERVE_TEST_TOKEN is required")
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
