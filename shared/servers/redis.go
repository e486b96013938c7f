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
	"slices"
	"strings"
	"syscall"
	"time"
)

// startLimit bounds how long a server may take to come up: after a crash it may
// have much to load.
const startLimit = 2 * time.Minute

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
	return startRedis(ctx, dir, append([]string{
		"--appendonly", "yes", "--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction",
	}, args...))
}

// StartSentinel runs redis-server on dir as a Sentinel with this configuration,
// which it rewrites.
func StartSentinel(ctx context.Context, dir, config string) (*Redis, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make sentinel folder: %w", err)
	}
	file := filepath.Join(dir, "sentinel.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, fmt.Errorf("write sentinel configuration: %w", err)
	}
	return startRedis(ctx, dir, nil, file, "--sentinel")
}

// startRedis runs redis-server with first, its configuration file if any, then
// what all have in common, then args.
func startRedis(ctx context.Context, dir string, args []string, first ...string) (*Redis, error) {
	program, err := find("redis-server")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make redis folder: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a folder: Redis' own files follow the umask
		return nil, fmt.Errorf("make redis folder private: %w", err)
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
	common := []string{"--unixsocket", path, "--unixsocketperm", "700", "--dir", dir, "--pidfile", pidFile, "--daemonize", "no"}
	if len(first) == 0 {
		common = append(common, "--port", "0")
	}
	cmd := exec.Command(program, slices.Concat(first, common, args)...) //nolint:noctx // it outlives the start; Stop ends it
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
