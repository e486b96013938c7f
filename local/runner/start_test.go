package runner_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/local/runner"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/servers"
)

// logbook is a log that is read while it is written.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// startLogged starts a pipeline and gives its log.
func startLogged(t *testing.T, cfg runner.Config) (*bundle, *logbook) {
	t.Helper()
	log := &logbook{}
	cfg.DataDir, cfg.SimulatorDelay = t.TempDir(), 100*time.Millisecond
	l, err := runner.Start(t.Context(), cfg, slog.New(slog.NewTextHandler(log, nil)))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return &bundle{t: t, local: l}, log
}

// A Redis that loads its data is waited for.
func TestStartWhileRedisLoads(t *testing.T) {
	t.Parallel()
	s := newServers(t)
	client := s.client()
	_, err := client.Pipelined(t.Context(), func(p redis.Pipeliner) error {
		for i := range 30_000 {
			p.Set(t.Context(), "k"+strconv.Itoa(i%50), i, 0)
		}
		return nil
	})
	require.NoError(t, err)
	s.redis.Stop()
	started := make(chan *servers.Redis, 1)
	address := s.redis.URL
	go func() {
		r, err := servers.StartRedis(context.Background(), s.dir+"/redis", "--key-load-delay", "100")
		if err != nil {
			t.Errorf("start redis: %v", err)
		}
		started <- r
	}()
	require.Eventually(t, func() bool {
		c := s.client()
		return redis.HasErrorPrefix(c.Ping(t.Context()).Err(), "LOADING")
	}, jobTimeout, 10*time.Millisecond)
	b, log := startLogged(t, runner.Config{RedisURL: address, DatabaseURL: s.postgres.URL})
	s.redis = <-started
	require.Contains(t, log.String(), "waiting for Redis")
	require.Equal(t, job.Completed, b.ended(b.submit()).Status)
}

// client speaks to the private Redis.
func (s *private) client() *redis.Client {
	s.t.Helper()
	o, err := redis.ParseURL(s.redis.URL)
	require.NoError(s.t, err)
	c := redis.NewClient(o)
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// startingPostgres is PostgreSQL after a crash: it refuses connections for a
// while, as one does that replays its log. left counts them.
func startingPostgres(t *testing.T, real string, left *atomic.Int64) string {
	t.Helper()
	u, err := url.Parse(real)
	require.NoError(t, err)
	socket := u.Query().Get("host") + "/.s.PGSQL.5432"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				if left.Add(-1) >= 0 {
					refuse(c)
					return
				}
				db, err := net.Dial("unix", socket)
				if err != nil {
					return
				}
				defer func() { _ = db.Close() }()
				go func() { _, _ = io.Copy(db, c); _ = db.Close() }()
				_, _ = io.Copy(c, db)
			}()
		}
	}()
	return "postgres://sweepline_owner@" + l.Addr().String() + u.Path + "?sslmode=disable"
}

// refuse answers a startup message with 57P03 (PostgreSQL, Message Formats).
func refuse(c net.Conn) {
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(size[:]))-4)
	body := "SFATAL\x00VFATAL\x00C57P03\x00Mthe database system is starting up\x00\x00"
	_, _ = c.Write(append(binary.BigEndian.AppendUint32([]byte{'E'}, uint32(len(body)+4)), body...))
}

// A PostgreSQL that is starting is waited for, also with an embedded Redis, where
// what is unfinished is known to nobody else.
func TestStartWhilePostgresStarts(t *testing.T) {
	t.Parallel()
	for name, embedded := range map[string]bool{"embedded Redis": true, "Redis": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServers(t)
			var left atomic.Int64
			left.Store(5)
			cfg := runner.Config{DatabaseURL: startingPostgres(t, s.postgres.URL, &left)}
			if !embedded {
				cfg.RedisURL = s.redis.URL
			}
			b, log := startLogged(t, cfg)
			require.Negative(t, left.Load())
			require.Contains(t, log.String(), "waiting for PostgreSQL")
			require.Contains(t, log.String(), "connected to PostgreSQL")
			require.Equal(t, job.Completed, b.ended(b.submit()).Status)
		})
	}
}
