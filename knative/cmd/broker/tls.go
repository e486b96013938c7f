package main

import (
	"crypto/tls"
	"fmt"
	"path/filepath"
	"sync"
	"time"
)

// renewEvery is how often a mounted certificate is read again: kubelet takes
// about a minute to bring a new one as well.
const renewEvery = time.Minute

// certificate is the key pair of a mounted Secret of type kubernetes.io/tls.
type certificate struct {
	folder string
	now    func() time.Time

	mu   sync.Mutex
	pair *tls.Certificate
	read time.Time
}

// openCertificate fails where there is none that can be read.
func openCertificate(folder string) (*certificate, error) {
	c := &certificate{folder: folder, now: time.Now}
	_, err := c.get(nil)
	return c, err
}

// get is a tls.Config's GetCertificate. A certificate that can no longer be read
// is used on: an old one is better than none.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pair != nil && c.now().Sub(c.read) < renewEvery {
		return c.pair, nil
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(c.folder, "tls.crt"), filepath.Join(c.folder, "tls.key"))
	switch {
	case err == nil:
		c.pair = &pair
	case c.pair == nil:
		return nil, fmt.Errorf("read certificate of BROKER_TLS: %w", err)
	}
	c.read = c.now()
	return c.pair, nil
}

// ends is when the certificate that is used ends, in seconds since 1970: its metric.
func (c *certificate) ends() float64 {
	pair, err := c.get(nil)
	if err != nil || pair.Leaf == nil {
		return 0
	}
	return float64(pair.Leaf.NotAfter.Unix())
}

func (c *certificate) config() *tls.Config {
	return &tls.Config{GetCertificate: c.get, MinVersion: tls.VersionTLS12}
}
