package job

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// MaxNotifyURL is how long an address that is called at a job's end may be, in bytes.
const MaxNotifyURL = 2000

// NotifyURLRule says what such an address must be. Which hosts it may name is up to the
// installation: see package notifyurl.
var NotifyURLRule = "must be an https URL of at most " + strconv.Itoa(MaxNotifyURL) + " ASCII characters, without user and fragment"

// ValidNotifyURL reports whether s can be called at a job's end: by https, or at a loopback
// host by http.
func ValidNotifyURL(s string) bool {
	if len(s) > MaxNotifyURL || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '#' }) {
		return false
	}
	u, err := url.Parse(s)
	if err != nil || u.User != nil || u.Opaque != "" {
		return false
	}
	host := u.Hostname()
	return host != "" && !strings.Contains(host, "%") && (u.Scheme == "https" || u.Scheme == "http" && IsLoopback(host))
}

// IsLoopback reports whether a host of a URL is this machine by its name: localhost or an
// address of the loopback interface.
func IsLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}
