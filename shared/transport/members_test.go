package transport_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/transport"
)

func TestMembers(t *testing.T) {
	t.Parallel()
	require.Equal(t, 3, transport.Members([]byte(` [1,[2,3,4],"a,b\\\",c"]`), 10))
	require.Equal(t, 2, transport.Members([]byte(`{"a,b":{"c":1,"d":2},"e":[1,2]}`), 10))
	require.Equal(t, 11, transport.Members([]byte("["+strings.Repeat("1,", 1000)+"1]"), 10), "it looks no further")
}

func FuzzMembers(f *testing.F) {
	f.Add(`[1,[2,3],"a,\"]",{"x":[]}]`)
	f.Add(`{"a":"\\","b":{"c":1,"d":2}}`)
	f.Fuzz(func(t *testing.T, text string) {
		n := transport.Members([]byte(text), 1000)
		var list []json.RawMessage
		if json.Unmarshal([]byte(text), &list) == nil && list != nil && len(list) <= 1000 {
			require.Equal(t, max(len(list), 1), n)
		}
		var object map[string]json.RawMessage
		if json.Unmarshal([]byte(text), &object) == nil && object != nil {
			require.LessOrEqual(t, min(len(object), 1000), n, "a name may stand twice")
		}
	})
}
