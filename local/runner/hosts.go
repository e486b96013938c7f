package runner

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/zixly/sweepline/shared/function"
)

// hosts are the names under which the process answers, beside those of loopback. A page
// whose own name has been pointed at 127.0.0.1 is of the same origin as our dashboard
// to its browser: only the Host header tells it from us.
type hosts map[string]bool

// newHosts takes the host that callbacks are sent to and those that proxies put in Host.
func newHosts(webhookBaseURL string, more []string) hosts {
	h := hosts{}
	if u, err := url.Parse(webhookBaseURL); err == nil && u.Host != "" {
		h[hostname(u.Host)] = true
	}
	for _, name := range more {
		if name = hostname(strings.TrimSpace(name)); name != "" {
			h[name] = true
		}
	}
	return h
}

// hostname is a Host header without its port, in small letters.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// has reports whether a Host header is one of ours. Rule: RFC 6761, 6.3: localhost and
// the names below it are never looked up elsewhere.
func (h hosts) has(host string) bool {
	name := hostname(host)
	if name == "localhost" || strings.HasSuffix(name, ".localhost") || h[name] {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.Unmap().IsLoopback()
}

// only answers 421 to requests for other hosts. Rule: RFC 9110, 15.5.20.
func (h hosts) only(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !h.has(r.Host) {
			function.WriteError(w, http.StatusMisdirectedRequest, function.CodeMisdirected,
				"this address does not answer for that host (ALLOWED_HOSTS names others)")
			return
		}
		next.ServeHTTP(w, r)
	})
}
