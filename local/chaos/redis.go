//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	goredis "github.com/redis/go-redis/v9"
	"golang.org/x/sys/unix"
)

// redisServer is the private Redis of a run. Every write is on disk before it is
// answered, so that a kill loses nothing.
type redisServer struct {
	*process

	addr, dir string
	// admin goes past the links.
	admin *goredis.Client
	// room is how many bytes a file of Redis may grow to, 0 for no limit.
	room atomic.Uint64
}

func newRedis(addr, dir string, log *os.File) (*redisServer, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("find redis-server: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make redis folder: %w", err)
	}
	r := &redisServer{addr: addr, dir: dir, admin: goredis.NewClient(&goredis.Options{Addr: addr, MaxRetries: -1, Protocol: 2})}
	r.process = &process{
		name: "redis", log: log, addr: addr,
		command: func() *exec.Cmd {
			return exec.Command(program, "--port", portOf(addr), "--bind", "127.0.0.1", "--dir", dir, "--daemonize", "no", //nolint:noctx // down ends it
				"--appendonly", "yes", "--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction")
		},
		begun: r.limit,
		ready: func(ctx context.Context) error { return r.admin.Ping(ctx).Err() },
	}
	return r, nil
}

// limit is the full disk: write(2) fails at the limit as it does without space,
// and Redis, which syncs every write, ends. SIGXFSZ is ignored (see main), so the
// error is EFBIG in place of ENOSPC.
func (r *redisServer) limit(pid int) {
	most := r.room.Load()
	if most == 0 {
		most = unix.RLIM_INFINITY
	}
	_ = unix.Prlimit(pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: most, Max: unix.RLIM_INFINITY}, nil)
}

// diskFull leaves 16 KiB of room in the append-only file.
func (r *redisServer) diskFull() error {
	var size int64
	err := filepath.WalkDir(filepath.Join(r.dir, "appendonlydir"), func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := d.Info(); err == nil && strings.HasSuffix(d.Name(), ".incr.aof") {
			size = max(size, info.Size())
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("measure append-only file: %w", err)
	}
	r.room.Store(uint64(size) + 16<<10)
	r.limit(r.pid())
	return nil
}

func (r *redisServer) diskFree() error {
	r.room.Store(0)
	r.limit(r.pid())
	return nil
}

// full leaves 256 KiB under maxmemory.
func (r *redisServer) full(ctx context.Context) error {
	used, err := r.info(ctx, "memory", "used_memory")
	if err != nil {
		return err
	}
	return r.set(ctx, "maxmemory", strconv.FormatInt(used+256<<10, 10))
}

func (r *redisServer) set(ctx context.Context, name, value string) error {
	if err := r.admin.ConfigSet(ctx, name, value).Err(); err != nil {
		return fmt.Errorf("set redis %s: %w", name, err)
	}
	return nil
}

// readOnly makes Redis the replica of a primary that is not there: it keeps its
// data and refuses writes.
func (r *redisServer) readOnly(ctx context.Context, on bool) error {
	to := []any{"REPLICAOF", "NO", "ONE"}
	if on {
		to = []any{"REPLICAOF", "127.0.0.1", "1"}
	}
	if err := r.admin.Do(ctx, to...).Err(); err != nil {
		return fmt.Errorf("make redis read-only: %w", err)
	}
	return nil
}

// restore undoes all of the above but the killing.
func (r *redisServer) restore(ctx context.Context) error {
	return errors.Join(r.diskFree(), r.set(ctx, "maxmemory", "0"), r.set(ctx, "min-replicas-to-write", "0"), r.readOnly(ctx, false))
}

// keys counts those without a time to live and those with one.
func (r *redisServer) keys(ctx context.Context) (stay, expire int64, err error) {
	text, err := r.admin.Info(ctx, "keyspace").Result()
	if err != nil {
		return 0, 0, fmt.Errorf("count keys: %w", err)
	}
	_, db, found := strings.Cut(text, "db0:")
	if !found { // no key at all
		return 0, 0, nil
	}
	var all int64
	if _, err := fmt.Sscanf(db, "keys=%d,expires=%d", &all, &expire); err != nil {
		return 0, 0, fmt.Errorf("count keys: %w", err)
	}
	return all - expire, expire, nil
}

// info reads one number of INFO.
func (r *redisServer) info(ctx context.Context, section, field string) (int64, error) {
	text, err := r.admin.Info(ctx, section).Result()
	if err != nil {
		return 0, fmt.Errorf("ask redis for %s: %w", section, err)
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), field+":"); ok {
			return strconv.ParseInt(value, 10, 64)
		}
	}
	return 0, fmt.Errorf("ask redis for %s: no %s", section, field)
}
