package transport

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// Connecting to a server may take this long, and TLS with it as long again: who does
// not answer by then is down, and another attempt comes.
const connectTimeout = 5 * time.Second

// New makes the connections of a client of ours. It keeps idle ones to a host open for
// as many calls as are made at once: a burst must not connect anew for each. trust is nil
// for what the system trusts. A proxy is not asked; see [Proxied]. Deadlines come with
// each request's context.
func New(idle int, trust *tls.Config) *http.Transport {
	return &http.Transport{
		DialContext:           (&net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       trust,
		TLSHandshakeTimeout:   connectTimeout,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   idle,
		IdleConnTimeout:       90 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}

// Proxied is New for servers on the internet, which HTTPS_PROXY and its kin may stand
// in front of.
func Proxied(idle int, trust *tls.Config) *http.Transport {
	t := New(idle, trust)
	t.Proxy = http.ProxyFromEnvironment
	return t
}

// NoRedirects is a CheckRedirect that has a redirect be the answer: following one would
// turn a POST into a GET, or send a key and a body to another server.
func NoRedirects(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
