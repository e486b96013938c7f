package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/servers/servertest"
)

// writePair mounts a certificate that vouches for itself, and returns it.
func writePair(t *testing.T, folder string, serial int64) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	require.NoError(t, os.WriteFile(filepath.Join(folder, "tls.crt"), cert, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "tls.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(cert))
	return pool
}

func TestEventsComeInByHTTPSToo(t *testing.T) {
	t.Parallel()
	b := setup(t, servertest.Redis(t), "secure")
	b.write(b.contract(1))
	require.NoError(t, b.take(t.Context()))
	b.cfg.TLS, b.cfg.Address, b.cfg.TLSAddress = t.TempDir(), "127.0.0.1:0", "127.0.0.1:0"
	_, err := b.listeners(t.Context())
	require.ErrorContains(t, err, "BROKER_TLS", "a certificate is asked for and not there")

	pool := writePair(t, b.cfg.TLS, 1)
	listeners, err := b.listeners(t.Context())
	require.NoError(t, err)
	require.Len(t, listeners, 2)
	w := httptest.NewRecorder()
	b.admin().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	found := regexp.MustCompile(`(?m)^sweepline_broker_certificate_end_timestamp_seconds (\S+)$`).FindStringSubmatch(w.Body.String())
	require.Len(t, found, 2)
	ends, err := strconv.ParseFloat(found[1], 64)
	require.NoError(t, err)
	require.InDelta(t, time.Now().Add(time.Hour).Unix(), ends, 60)
	server := newServer(b.server.Handler())
	t.Cleanup(func() { _ = server.Close() })
	for _, l := range listeners {
		go func() { _ = server.Serve(l) }()
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}, Timeout: 10 * time.Second}
	for i, scheme := range []string{"http", "https"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, scheme+"://"+listeners[i].Addr().String()+"/ns/secure", bytes.NewReader([]byte("{}")))
		require.NoError(t, err)
		for k, v := range map[string]string{"Ce-Specversion": "1.0", "Ce-Type": "t", "Ce-Source": "/s", "Ce-Id": scheme, "Content-Type": "application/json"} {
			r.Header.Set(k, v)
		}
		resp, err := client.Do(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusAccepted, resp.StatusCode, scheme)
	}
}

func TestARenewedCertificateIsTakenUp(t *testing.T) {
	t.Parallel()
	folder, now := t.TempDir(), time.Now()
	writePair(t, folder, 1)
	c, err := openCertificate(folder)
	require.NoError(t, err)
	c.now = func() time.Time { return now }
	serial := func() int64 {
		pair, err := c.get(nil)
		require.NoError(t, err)
		return pair.Leaf.SerialNumber.Int64()
	}
	writePair(t, folder, 2)
	require.EqualValues(t, 1, serial(), "files are not read for every connection")
	now = now.Add(2 * renewEvery)
	require.EqualValues(t, 2, serial())
	require.NoError(t, os.Remove(filepath.Join(folder, "tls.key")))
	now = now.Add(2 * renewEvery)
	require.EqualValues(t, 2, serial(), "an old one is better than none")
}
