package notifyurl

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func hosts(t *testing.T, listed ...string) *Hosts {
	t.Helper()
	h, err := New(Config{Hosts: listed})
	require.NoError(t, err)
	return h
}

func TestCheck(t *testing.T) {
	t.Parallel()
	h := hosts(t, " Hooks.example.com ", "*.internal.example", "localhost", "10.1.2.3", "0:0::1", "")
	for _, good := range []string{
		"", "https://hooks.example.com/a?b=c", "https://HOOKS.example.com.:8443/", "https://a.internal.example/", "https://a.b.internal.example/",
		"http://localhost:8080/", "https://10.1.2.3/", "http://[::1]/", "https://[0:0:0::1]/",
	} {
		require.NoError(t, h.Check(good), good)
	}
	for bad, want := range map[string]string{
		"https://example.com/": "allows", "https://x.hooks.example.com/": "allows", "https://internal.example/": "allows", "https://xinternal.example/": "allows",
		"https://.internal.example/": "", "https://hooks.example.com.evil.example/": "allows", "https://10.1.2.4/": "allows", "https://[::ffff:10.1.2.4]/": "allows",
		"http://127.0.0.1/": "allows", "http://hooks.example.com/": "https URL", "https://u@hooks.example.com/": "https URL", "x": "https URL",
		"https://..internal.example/": "https URL", "https://*.internal.example/": "https URL", "https://a;.internal.example/": "https URL",
		"https://-.internal.example/": "https URL", "https://hooks.example.com:0/": "https URL", "https://hooks.example.com:99999/": "https URL",
	} {
		require.ErrorContains(t, h.Check(bad), want, bad)
	}
	none := hosts(t, "", " ")
	require.False(t, none.Enabled())
	require.NoError(t, none.Check(""))
	require.EqualError(t, none.Check("x"), "notify_url: is not enabled on this installation")
}

func TestHostsThatAreNone(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"*", "*.", "https://a", "a:443", "a/b", "*.*.a", "a.*", "[::1]", "a b", "a..b", "-a", "10.0.0.0/8", "bücher.example"} {
		_, err := New(Config{Hosts: []string{"good.example", bad}})
		require.ErrorContains(t, err, "NOTIFY_URL_HOSTS", bad)
	}
}

// What a name leads to is judged when it is connected to.
func TestNamesAreCalledAtPublicAddressesOnly(t *testing.T) {
	t.Parallel()
	for _, inside := range []string{
		"127.0.0.1:443", "127.9.9.9:443", "[::1]:443", "10.0.0.1:443", "172.16.0.1:443", "192.168.1.1:443", "169.254.169.254:80", "[fe80::1]:443", "[fe80::1%eth0]:443",
		"[fd00:ec2::254]:80", "100.100.100.200:80", "168.63.129.16:80", "192.0.0.192:80", "0.0.0.0:443", "[::]:443", "224.0.0.1:443", "[ff02::1]:443", "255.255.255.255:443",
		"198.18.0.1:443", "[::ffff:127.0.0.1]:443", "[::ffff:169.254.169.254]:80", "[64:ff9b::a9fe:a9fe]:80", "[2002:7f00:1::]:443", "[2001::1]:443", "[::7f00:1]:443", "x:1", "",
	} {
		require.ErrorIs(t, refuseInside("tcp", inside, nil), ErrInside, inside)
	}
	for _, outside := range []string{"93.184.215.14:443", "[2606:2800:21f:cb07:6820:80da:af6b:8b2c]:443", "100.128.0.1:443", "172.32.0.1:443"} {
		require.NoError(t, refuseInside("tcp", outside, nil), outside)
	}
}

// A listed name that turns out to lead inside, now or after it was checked, is not
// connected to; one that is listed as an address is.
func TestATransportThatStaysOutside(t *testing.T) {
	t.Parallel()
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	h := hosts(t, "*.example.com", "127.0.0.1", "localhost")
	resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nameServer(net.IPv4(127, 0, 0, 1)), nil
	}}
	transport := h.Transport()
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		return h.dial(ctx, network, address, resolver)
	}
	client := &http.Client{Transport: transport}
	get := func(host string) error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+net.JoinHostPort(host, port), http.NoBody)
		require.NoError(t, err)
		resp, err := client.Do(req)
		if err == nil {
			require.NoError(t, resp.Body.Close())
		}
		return err
	}
	require.ErrorIs(t, get("rebound.example.com"), ErrInside)
	require.ErrorIs(t, get("127.0.0.2"), ErrInside, "that was never checked")
	require.Zero(t, asked)
	require.NoError(t, get("127.0.0.1"))
	require.NoError(t, get("localhost"))
	require.Equal(t, 2, asked)
	client.CloseIdleConnections()
}

// nameServer is a connection to a DNS server that knows one IPv4 address, for every name.
func nameServer(ip net.IP) net.Conn {
	here, there := net.Pipe()
	go func() {
		defer there.Close()
		for {
			var size [2]byte
			if _, err := io.ReadFull(there, size[:]); err != nil {
				return
			}
			query := make([]byte, binary.BigEndian.Uint16(size[:]))
			if _, err := io.ReadFull(there, query); err != nil {
				return
			}
			end := 12
			for query[end] != 0 {
				end += int(query[end]) + 1
			}
			ofIPv4 := query[end+2] == 1
			answer := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, query[12:end+5]...)
			if ofIPv4 {
				answer[7] = 1
				answer = append(append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4), ip.To4()...)
			}
			if _, err := there.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
				return
			}
		}
	}()
	return here
}
