//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// links are the TCP connections between processes, each through a proxy of its
// own, so that one process can be cut off while the others are not.
type links struct {
	server *toxiproxy.ApiServer
	ports  *ports

	mu     sync.Mutex
	byName map[string]*link
}

func newLinks(p *ports) *links {
	return &links{server: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), ports: p, byName: map[string]*link{}}
}

// link is one proxy. Its name is "server<client".
type link struct {
	mu     sync.Mutex
	proxy  *toxiproxy.Proxy
	toxics []string
	// closed is why it refuses connections: it was cut, its server is gone.
	closed map[string]bool
}

// The reasons to refuse connections.
const (
	wasCut     = "cut"
	serverGone = "gone"
)

// set closes a link for a reason, or opens it where no other is left.
func (k *link) set(reason string, closed bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if closed {
		k.closed[reason] = true
		k.proxy.Stop()
		return nil
	}
	delete(k.closed, reason)
	if len(k.closed) > 0 {
		return nil
	}
	if err := k.proxy.Start(); err != nil && !errors.Is(err, toxiproxy.ErrProxyAlreadyStarted) {
		return fmt.Errorf("open link %s: %w", k.proxy.Name, err)
	}
	return nil
}

// open makes the link from client to server, which listens on upstream, and
// returns the address that the client must use.
func (l *links) open(server, client, upstream string) (string, error) {
	name := server + "<" + client
	l.mu.Lock()
	defer l.mu.Unlock()
	if k, ok := l.byName[name]; ok {
		return k.proxy.Listen, nil
	}
	addr, err := l.ports.next()
	if err != nil {
		return "", err
	}
	k := &link{proxy: toxiproxy.NewProxy(l.server, name, addr, upstream), closed: map[string]bool{}}
	if err := k.set("", false); err != nil {
		return "", err
	}
	l.byName[name] = k
	return k.proxy.Listen, nil
}

// names are the links to one of servers, all links if there are none, in order.
func (l *links) names(servers ...string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for name := range l.byName {
		server, _, _ := strings.Cut(name, "<")
		if len(servers) == 0 || slices.Contains(servers, server) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}

func (l *links) get(name string) *link {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byName[name]
}

// cut closes all connections; new ones are refused.
func (l *links) cut(name string) error { return l.get(name).set(wasCut, true) }

// gate returns what opens and closes the links to a server as it comes and goes:
// a proxy would accept connections for one that is not there.
func (l *links) gate(server string, log *slog.Logger) func(listening bool) {
	return func(listening bool) {
		for _, name := range l.names(server) {
			if err := l.get(name).set(serverGone, !listening); err != nil {
				log.Warn("opening link failed", "link", name, "error", err)
			}
		}
	}
}

// slow delays every chunk in both directions by the same time.
func (l *links) slow(name string, ms int) error {
	return errors.Join(l.toxic(name, "latency", "upstream", map[string]int{"latency": ms}),
		l.toxic(name, "latency", "downstream", map[string]int{"latency": ms}))
}

// mute lets requests through and drops all answers: the worst case of a call
// that is not safe to repeat.
func (l *links) mute(name string) error {
	return l.toxic(name, "timeout", "downstream", map[string]int{"timeout": 0})
}

func (l *links) toxic(name, kind, stream string, attributes map[string]int) error {
	raw, err := json.Marshal(map[string]any{"name": kind + stream, "type": kind, "stream": stream, "attributes": attributes})
	if err != nil {
		return fmt.Errorf("encode toxic: %w", err)
	}
	k := l.get(name)
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, err := k.proxy.Toxics.AddToxicJson(strings.NewReader(string(raw))); err != nil {
		return fmt.Errorf("add %s to %s: %w", kind, name, err)
	}
	k.toxics = append(k.toxics, kind+stream)
	return nil
}

// restore undoes cut, slow and mute.
func (l *links) restore(ctx context.Context, name string) error {
	k := l.get(name)
	k.mu.Lock()
	toxics := k.toxics
	k.toxics = nil
	k.mu.Unlock()
	var errs []error
	for _, t := range toxics {
		errs = append(errs, k.proxy.Toxics.RemoveToxic(ctx, t))
	}
	return errors.Join(append(errs, k.set(wasCut, false))...)
}

// close ends all links.
func (l *links) close() {
	for _, k := range l.byName {
		k.proxy.Stop()
	}
}
