package auth

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// freeAttempts is how many wrong keys an address may send before it has to wait.
	freeAttempts = 20
	// backoffMin doubles with every further wrong key, up to backoffMax.
	backoffMin, backoffMax = time.Second, time.Minute
	// forgetAfter is when an address that sends no wrong key any more starts anew.
	forgetAfter = 15 * time.Minute
	// keptAddresses bounds the addresses that are remembered.
	keptAddresses = 4096
	// logEvery is how often wrong keys are logged, at most.
	logEvery = time.Minute
)

// attempts counts wrong keys by the address that they come from. The zero value is
// ready.
type attempts struct {
	mu        sync.Mutex
	addresses map[netip.Addr]*failures
	// unlogged are the wrong keys since the last line in the log.
	unlogged int
	logged   time.Time
}

type failures struct {
	count       int
	last, until time.Time
}

// wait is how long the address must send no further key.
func (a *attempts) wait(from netip.Addr) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.addresses[from]
	if f == nil {
		return 0
	}
	return max(0, time.Until(f.until))
}

// failed notes a wrong key.
func (a *attempts) failed(ctx context.Context, from netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	f := a.addresses[from]
	if f == nil || now.Sub(f.last) >= forgetAfter {
		f = &failures{}
		a.keep(from, f, now)
	}
	f.count++
	f.last = now
	if over := f.count - freeAttempts; over > 0 {
		f.until = now.Add(min(backoffMin<<min(over-1, 10), backoffMax))
	}
	a.unlogged++
	if now.Sub(a.logged) >= logEvery {
		// Of the key there is nothing to say that would not help who reads the log to guess.
		slog.WarnContext(ctx, "wrong keys refused", "attempts", a.unlogged, "address", from.String(), "attempts_of_address", f.count)
		a.logged, a.unlogged = now, 0
	}
}

// keep makes room where there is none: the address that was silent longest of a few
// goes. The caller holds the lock.
func (a *attempts) keep(from netip.Addr, f *failures, now time.Time) {
	if a.addresses == nil {
		a.addresses = map[netip.Addr]*failures{}
	}
	if len(a.addresses) >= keptAddresses {
		var oldest netip.Addr
		looked, at := 0, now
		for addr, other := range a.addresses { // in no order
			if looked == 0 || other.last.Before(at) {
				oldest, at = addr, other.last
			}
			if looked++; looked == 16 {
				break
			}
		}
		delete(a.addresses, oldest)
	}
	a.addresses[from] = f
}

// addressOf is where a request comes from: a proxy's address behind one. All of an
// IPv6 network that one customer gets is one address.
func addressOf(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return addr
}

// knownAddresses bounds the addresses that a key is remembered to have come from.
const knownAddresses = 16

// users are the addresses that a key came from. Where somebody guesses from the same
// address, behind the same proxy say, who was known there before need not wait.
type users struct {
	list atomic.Pointer[[]netip.Addr]
}

func (u *users) known(from netip.Addr) bool {
	list := u.list.Load()
	if list == nil {
		return false
	}
	for _, a := range *list {
		if a == from {
			return true
		}
	}
	return false
}

// add remembers an address; two at the same time may lose one, which is added with
// its next request.
func (u *users) add(from netip.Addr) {
	next := []netip.Addr{from}
	if list := u.list.Load(); list != nil {
		next = append(next, (*list)[:min(len(*list), knownAddresses-1)]...)
	}
	u.list.Store(&next)
}
