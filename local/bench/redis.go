package bench

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/zixly/sweepline/shared/servers"
)

// redisServer is the private Redis of a run. It listens on TCP, as one elsewhere
// does.
type redisServer struct {
	address string
	fsync   string
	pid     int
	client  *redis.Client
	stop    func()
}

func startRedis(ctx context.Context, dir, fsync string) (*redisServer, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	s, err := servers.StartRedis(ctx, dir, "--appendfsync", fsync, "--bind", "127.0.0.1", "--port", strconv.Itoa(port))
	if err != nil {
		return nil, fmt.Errorf("start redis: %w", err)
	}
	r := &redisServer{address: fmt.Sprintf("127.0.0.1:%d", port), fsync: fsync}
	r.client = redis.NewClient(&redis.Options{Addr: r.address, Protocol: 2})
	r.stop = func() {
		_ = r.client.Close()
		s.Stop()
	}
	if r.pid, err = readPid(filepath.Join(dir, "redis.pid")); err != nil {
		r.stop()
		return nil, err
	}
	return r, nil
}

// info reads counters: of the server, and calls of each command, those from scripts
// with them.
func (r *redisServer) info(ctx context.Context) (map[string]float64, error) {
	text, err := r.client.Info(ctx, "stats", "commandstats").Result()
	if err != nil {
		return nil, fmt.Errorf("read redis counters: %w", err)
	}
	n := map[string]float64{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok {
			continue
		}
		if command, is := strings.CutPrefix(name, "cmdstat_"); is {
			value, _, _ = strings.Cut(strings.TrimPrefix(value, "calls="), ",")
			name = "calls " + command
		}
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			n[name] = v
		}
	}
	return n, nil
}

// ids are what makes the keys of two jobs, instances or hours different.
var ids = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[A-Za-z0-9_-]{16,}|[0-9]+`)

// kindOf is a key without what makes it one of many.
func kindOf(key string) string {
	if i := strings.IndexFunc(key, func(c rune) bool { return c < ' ' || c > '~' }); i >= 0 { // an id in binary
		key = key[:strings.LastIndexByte(key[:i], ':')+1] + "*"
	}
	return ids.ReplaceAllString(key, "*")
}

// held is what is left in Redis under keys of one kind.
type held struct {
	Keys  int   `json:"keys"`
	Bytes int64 `json:"bytes"`
}

// left adds up the memory of all keys, by kind.
func (r *redisServer) left(ctx context.Context) (map[string]held, held, error) {
	kinds, all := map[string]held{}, held{}
	for cursor := uint64(0); ; {
		keys, next, err := r.client.Scan(ctx, cursor, "", 500).Result()
		if err != nil {
			return nil, all, fmt.Errorf("list keys: %w", err)
		}
		sizes, err := r.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, k := range keys {
				p.MemoryUsage(ctx, k, 0)
			}
			return nil
		})
		if err != nil && err != redis.Nil { //nolint:errorlint // a pipeline's error is that of its first command
			return nil, all, fmt.Errorf("measure keys: %w", err)
		}
		for i, k := range keys {
			size, err := sizes[i].(*redis.IntCmd).Result()
			if err != nil { // gone since
				continue
			}
			kind := kindOf(k)
			h := kinds[kind]
			kinds[kind] = held{h.Keys + 1, h.Bytes + size}
			all = held{all.Keys + 1, all.Bytes + size}
		}
		if cursor = next; cursor == 0 {
			return kinds, all, nil
		}
	}
}

func readPid(file string) (int, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return 0, fmt.Errorf("read pid: %w", err)
	}
	first, _, _ := strings.Cut(string(raw), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		return 0, fmt.Errorf("read pid in %s: %w", file, err)
	}
	return pid, nil
}

// freePort is one that nobody has at the moment.
func freePort(ctx context.Context) (int, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
