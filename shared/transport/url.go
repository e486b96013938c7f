package transport

import (
	"errors"
	"net/url"
	"strings"
)

// They do not repeat the text: it may hold credentials.
var (
	errURL  = errors.New("must be an absolute http or https URL")
	errBase = errors.New("must be an http or https URL without a query (?) and a fragment (#)")
)

// ParseURL reads the absolute http or https URL of a server: it has a host. Its error
// is to follow the setting's name.
func ParseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, errURL
	}
	return u, nil
}

// ParseBase is ParseURL for an address that paths are added to: a query or a fragment
// would take them in, or be lost.
func ParseBase(text string) (*url.URL, error) {
	u, err := ParseURL(text)
	if err == nil && strings.ContainsAny(text, "?#") {
		return nil, errBase
	}
	return u, err
}
