package auth

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAddressesAreBounded(t *testing.T) {
	t.Parallel()
	var a attempts
	for i := range 3 * keptAddresses {
		a.failed(t.Context(), netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	require.Len(t, a.addresses, keptAddresses)
	var u users
	for i := range 100 {
		u.add(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
	}
	require.Len(t, *u.list.Load(), knownAddresses)
	require.True(t, u.known(netip.AddrFrom4([4]byte{10, 0, 0, 99})))
}
