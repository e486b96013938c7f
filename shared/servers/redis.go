package servers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// startLimit bounds how long a server may take to come up.
const startLimit = 30 * time.Second

// Redis is a private redis-server.
type Redis struct {
	// URL is its address, for REDIS_URL.
	URL    string
	p      *process
	socket string
}

// StartRedis runs redis-server on dir, which keeps its append-only file: every
// write is on disk before it is answered (appendfsync always). args are further
// redis-server options, which win. The error is ErrNotInstalled where there is
// no redis-server.
func StartRedis(ctx context.Context, dir string, args ...string) (*Redis, error) {
	program, err := find("redis-server")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make redis folder: %w", err)
	}
	pidFile := filepath.Join(dir, "redis.pid")
	if err := waitGone(ctx, pidFile, "redis-server"); err != nil {
		return nil, err
	}
	socket, err := socketDir(dir, nil)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(socket, "redis.sock")
	cmd := exec.Command(program, append([]string{ //nolint:noctx // it outlives the start; Stop ends it
		"--port", "0", "--unixsocket", path, "--unixsocketperm", "700", "--dir", dir, "--pidfile", pidFile,
		"--appendonly", "yes", "--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction", "--daemonize", "no",
	}, args...)...)
	p, err := start("redis-server", cmd, syscall.SIGTERM)
	if err != nil {
		return nil, err
	}
	if err := p.ready(ctx, func(ctx context.Context) error { return pingRedis(ctx, path) }); err != nil {
		p.kill()
		return nil, err
	}
	return &Redis{URL: "unix://" + path, p: p, socket: socket}, nil
}

// Stop ends the server in order.
func (r *Redis) Stop() {
	r.p.end(syscall.SIGTERM)
	_ = os.RemoveAll(r.socket)
}

// Kill ends the server as kill -9 does; StartRedis on the same dir gives it back.
func (r *Redis) Kill() { r.p.kill() }

// pingRedis asks for PONG: a server that still loads its file answers an error.
func pingRedis(ctx context.Context, path string) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	if !strings.HasPrefix(line, "+PONG") {
		return errors.New(strings.TrimSpace(line))
	}
	return nil
}
