// Package notifyurl has the rules of the addresses that requests name to be called when a
// job has ended (notify_url): which hosts they may be on, what is connected to, and how a
// call is signed. Who takes jobs in checks an address with Hosts.Check; notify checks it
// again, calls it over Hosts.Transport and signs the call with Keys.
package notifyurl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/transport"
)

// Config names the hosts. All who read it must have the same.
type Config struct {
	// Hosts are what a notify_url may name as its host, comma between: a name, all names
	// below one (*.example.com), or an IP address. Empty: requests with a notify_url are
	// refused. A name is called at public addresses only; localhost and IP addresses that
	// are listed are called as they are, and those of loopback without TLS, too.
	Hosts []string `envconfig:"NOTIFY_URL_HOSTS"`
}

// Hosts are the hosts that may be called. It is safe for concurrent use.
type Hosts struct {
	listed map[string]bool
	// below are the suffixes of wildcards, each with its dot.
	below []string
}

var namePattern = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$`)

// New refuses what is no host. Its error names the variable.
func New(cfg Config) (*Hosts, error) {
	h := &Hosts{listed: map[string]bool{}}
	for _, text := range cfg.Hosts {
		host := canonical(strings.TrimSpace(text))
		name, wildcard := strings.CutPrefix(host, "*.")
		_, err := netip.ParseAddr(host)
		switch {
		case host == "":
		case err == nil:
			h.listed[host] = true
		case !namePattern.MatchString(name):
			return nil, errors.New("NOTIFY_URL_HOSTS must be host names, *.example.com or IP addresses, without scheme and port")
		case wildcard:
			h.below = append(h.below, "."+name)
		default:
			h.listed[name] = true
		}
	}
	return h, nil
}

// Enabled reports whether there is a host that may be called.
func (h *Hosts) Enabled() bool { return len(h.listed)+len(h.below) > 0 }

// Check returns a job.Invalid for an address that may not be called; "" is none.
func (h *Hosts) Check(address string) error {
	u, err := url.Parse(address)
	switch {
	case address == "":
		return nil
	case !h.Enabled():
		return invalid("is not enabled on this installation")
	case err != nil || !job.ValidNotifyURL(address) || !reachable(u):
		return invalid(job.NotifyURLRule)
	case !h.has(u.Hostname()):
		return invalid("must name a host that this installation allows")
	}
	return nil
}

func invalid(message string) error { return job.Invalid{{Field: "notify_url", Message: message}} }

// reachable reports whether there can be such a host and port.
func reachable(u *url.URL) bool {
	host := canonical(u.Hostname())
	_, notIP := netip.ParseAddr(host)
	port, err := strconv.ParseUint(cmp.Or(u.Port(), "443"), 10, 16)
	return err == nil && port > 0 && (notIP == nil || namePattern.MatchString(host))
}

func (h *Hosts) has(host string) bool {
	host = canonical(host)
	for _, suffix := range h.below {
		if name, ok := strings.CutSuffix(host, suffix); ok && name != "" {
			return true
		}
	}
	return h.listed[host]
}

// canonical is a host as it is compared: in small letters, without the dot of the root, and
// an address in its shortest form.
func canonical(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().String()
	}
	return host
}

// Transport connects to hosts that are allowed, and to no address inside (ErrInside) but
// those that are listed as addresses, or as localhost. No proxy is asked: it would resolve
// names by itself.
func (h *Hosts) Transport() *http.Transport {
	t := transport.New(idle, nil)
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		return h.dial(ctx, network, address, nil)
	}
	t.MaxResponseHeaderBytes = transport.MaxHeaderBytes
	return t
}

const (
	// idle connections are kept to a host.
	idle = 2
	// connectTimeout bounds connecting to a host.
	connectTimeout = 5 * time.Second
)

// ErrInside is wrapped where a host's address is not a public one.
var ErrInside = errors.New("the host's address is not public")

// dial connects to a host. A nil resolver is the system's.
func (h *Hosts) dial(ctx context.Context, network, address string, resolver *net.Resolver) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if !h.has(host) { // Check was not asked
		return nil, fmt.Errorf("dial %s: %w", host, ErrInside)
	}
	d := net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second, Resolver: resolver}
	host = canonical(host)
	if _, err := netip.ParseAddr(host); err != nil && host != "localhost" {
		d.Control = refuseInside
	}
	return d.DialContext(ctx, network, address)
}

// refuseInside is asked after a name was resolved, for each address that is about to be
// connected to: nothing can change in between.
func refuseInside(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !public(at.Addr()) {
		return ErrInside
	}
	return nil
}

// special are blocks that lead inside, though Go counts them among global unicast
// addresses: carriers' networks and clouds' metadata among them, and forms of IPv6 that
// hold an IPv4 address.
// Rule: the IANA registries of special-purpose addresses.
var special = prefixes("0.0.0.0/8", "100.64.0.0/10", "168.63.129.16/32", "192.0.0.0/24", "198.18.0.0/15", "240.0.0.0/4",
	"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/23", "2002::/16", "fec0::/10")

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func public(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	for _, p := range special {
		if p.Contains(ip) {
			return false
		}
	}
	return ip.IsGlobalUnicast() && !ip.IsPrivate()
}
