package transport

import (
	"errors"
	"net/url"
)

// errURL does not repeat the text: it may hold credentials.
var errURL = errors.New("must be an absolute http or https URL")

// ParseURL reads the absolute http or https URL of a server: it has a host. Its error
// is to follow the setting's name.
func ParseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, errURL
	}
	return u, nil
}
