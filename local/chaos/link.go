//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// links are the TCP connections between processes, each through a proxy of its
// own, so that one process can be cut off while the others are not.
type links struct {
	server *toxiproxy.ApiServer
	ports  *ports
	byName map[string]*link
}

func newLinks(p *ports) *links {
	return &links{server: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), ports: p, byName: map[string]*link{}}
}

// link is one proxy. Its name is "server<client".
type link struct {
	proxy  *toxiproxy.Proxy
	toxics []string
}

// open makes the link from client to server, which listens on upstream, and
// returns the address that the client must use.
func (l *links) open(server, client, upstream string) (string, error) {
	name := server + "<" + client
	if k, ok := l.byName[name]; ok {
		return k.proxy.Listen, nil
	}
	addr, err := l.ports.next()
	if err != nil {
		return "", err
	}
	k := &link{proxy: toxiproxy.NewProxy(l.server, name, addr, upstream)}
	if err := k.proxy.Start(); err != nil {
		return "", fmt.Errorf("open link %s: %w", name, err)
	}
	l.byName[name] = k
	return k.proxy.Listen, nil
}

// names are the links to one of servers, all links if there are none, in order.
func (l *links) names(servers ...string) []string {
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

// cut closes all connections; new ones are refused.
func (l *links) cut(name string) { l.byName[name].proxy.Stop() }

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
	k := l.byName[name]
	if _, err := k.proxy.Toxics.AddToxicJson(strings.NewReader(string(raw))); err != nil {
		return fmt.Errorf("add %s to %s: %w", kind, name, err)
	}
	k.toxics = append(k.toxics, kind+stream)
	return nil
}

// restore undoes cut, slow and mute.
func (l *links) restore(ctx context.Context, name string) error {
	k := l.byName[name]
	var errs []error
	for _, t := range k.toxics {
		errs = append(errs, k.proxy.Toxics.RemoveToxic(ctx, t))
	}
	k.toxics = nil
	if err := k.proxy.Start(); err != nil && !errors.Is(err, toxiproxy.ErrProxyAlreadyStarted) {
		errs = append(errs, fmt.Errorf("restore link %s: %w", name, err))
	}
	return errors.Join(errs...)
}

// close ends all links.
func (l *links) close() {
	for _, k := range l.byName {
		k.proxy.Stop()
	}
}
