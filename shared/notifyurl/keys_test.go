package notifyurl_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/notifyurl"
)

func TestKeys(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_772_366_400, 0)
	k, err := notifyurl.NewKeys("a secret of 16 bytes at least", "")
	require.NoError(t, err)
	// Receivers have these keys: they must never change.
	require.Equal(t, "whsec_3utfyg4WQrT/zcJ5j/Cv2JP1dFFw52OLxWsBkUdXG1g=", k.Of("acme"))
	require.NotEqual(t, k.Of("acme"), k.Of("globex"))
	one := k.Sign("acme", "id", at, []byte("body"))
	require.Regexp(t, `^v1,[A-Za-z0-9+/]{43}=$`, one)
	for _, other := range []string{
		k.Sign("globex", "id", at, []byte("body")), k.Sign("acme", "ie", at, []byte("body")),
		k.Sign("acme", "id", at.Add(time.Second), []byte("body")), k.Sign("acme", "id", at, []byte("bodz")),
	} {
		require.NotEqual(t, one, other)
	}
	both, err := notifyurl.NewKeys("the secret that comes after it", "a secret of 16 bytes at least")
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(both.Sign("acme", "id", at, []byte("body")), " "+one))

	for _, bad := range [][2]string{{"", ""}, {"", "a secret of 16 bytes at least"}, {"short", ""}, {"a secret of 16 bytes at least", "short"}} {
		_, err := notifyurl.NewKeys(bad[0], bad[1])
		require.ErrorContains(t, err, "NOTIFY_URL_SECRET")
		require.NotContains(t, err.Error(), "a secret")
	}
}
