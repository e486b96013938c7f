package build

import (
	"encoding/json"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOf(t *testing.T) {
	t.Parallel()
	b := &debug.BuildInfo{GoVersion: "go1.26.0", Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.time", Value: "2026-01-31T12:00:00Z"}, {Key: "vcs.modified", Value: "true"},
	}}
	text, err := json.Marshal(of(b, ""))
	require.NoError(t, err)
	require.JSONEq(t, `{"version":"v1.2.3","revision":"abc","time":"2026-01-31T12:00:00.000Z","modified":true,"go":"go1.26.0"}`, string(text))
	require.Equal(t, "v9", of(b, "v9").Version)
	require.Equal(t, "dev", of(&debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, "").Version)
	require.Equal(t, "dev", of(nil, "").Version)
	require.NotEmpty(t, Read().Go)
}
