//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// ports hands out loopback ports. They lie below the kernel's ephemeral range:
// a process or a link that is away for a while must find its port free again,
// not taken by some outgoing connection.
type ports struct {
	mu    sync.Mutex
	given map[int]bool
}

const lowestPort, highestPort = 12_000, 32_000

// next returns an address on 127.0.0.1 that nobody listens on.
func (p *ports) next() (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range 1000 {
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		if p.given[port] {
			continue
		}
		l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", addr)
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			return "", fmt.Errorf("probe port %d: %w", port, err)
		}
		p.given[port] = true
		return addr, nil
	}
	return "", errors.New("no free port between 12000 and 32000")
}

// portOf is the port of an address that next returned.
func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}
