package notify

import "crypto/tls"

// Trust makes the mail channel believe a test's certificate.
func (f *Function) Trust(t *tls.Config) {
	for _, c := range f.channels {
		if m, ok := c.(*mailChannel); ok {
			m.trust(t)
		}
	}
}

// MostOfTenant calls of one tenant's addresses are under way at once.
const MostOfTenant = mostOfTenant
