package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
)

// Trust adds certificates, as PEM, to those that the system trusts. Without any it
// is nil, which is what the system trusts alone.
func Trust(certs string) (*tls.Config, error) {
	if certs == "" {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // an image without certificates
	}
	if !pool.AppendCertsFromPEM([]byte(certs)) {
		return nil, errors.New("no certificate as PEM")
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}
