package runner

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/alicebob/miniredis/v2"

	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/jobstore/postgres"
	"github.com/zixly/sweepline/shared/jobstore/sqlite"
	"github.com/zixly/sweepline/shared/servers"
)

// stores are where the process keeps things.
type stores struct {
	redisURL string
	jobStore jobstore.Store
	// embedded is set where Redis runs in our process and forgets its streams
	// with it.
	embedded bool
	// mode says in one line what is used and what does not last.
	mode  string
	close []func()
}

func (s *stores) Close() {
	for i := len(s.close) - 1; i >= 0; i-- {
		s.close[i]()
	}
}

func openStores(ctx context.Context, cfg Config, dir string) (_ *stores, err error) {
	s := &stores{}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	redis, err := s.openRedis(ctx, cfg, dir)
	if err != nil {
		return nil, err
	}
	database, err := s.openStore(ctx, cfg, dir)
	if err != nil {
		return nil, err
	}
	s.mode = redis + ", " + database
	if s.embedded {
		s.mode += ". Jobs and results outlive the process; idempotency keys and dead letters do not"
	}
	return s, nil
}

func (s *stores) openRedis(ctx context.Context, cfg Config, dir string) (string, error) {
	switch {
	case cfg.RedisURL != "":
		s.redisURL = cfg.RedisURL
		return "Redis at " + host(cfg.RedisURL), nil
	case cfg.Servers:
		r, err := servers.StartRedis(ctx, filepath.Join(dir, "redis"))
		if err != nil {
			return "", fmt.Errorf("--servers: %w (install Redis, or set REDIS_URL)", err)
		}
		s.close = append(s.close, r.Stop)
		s.redisURL = r.URL
		return "private Redis", nil
	default:
		m := miniredis.NewMiniRedis()
		m.ClockTTL(true) // keys expire as time passes
		// It listens on loopback, which every user of the machine reaches.
		password := rand.Text()
		m.RequireAuth(password)
		if err := m.Start(); err != nil {
			return "", fmt.Errorf("start embedded redis: %w", err)
		}
		s.close = append(s.close, m.Close)
		s.redisURL = (&url.URL{Scheme: "redis", User: url.UserPassword("default", password), Host: m.Addr()}).String()
		s.embedded = true
		return "embedded Redis (in memory)", nil
	}
}

func (s *stores) openStore(ctx context.Context, cfg Config, dir string) (string, error) {
	if cfg.DatabaseURL == "" && !cfg.Servers {
		file := filepath.Join(dir, "sweepline.db")
		l, err := sqlite.Open(ctx, file)
		if err != nil {
			return "", err
		}
		s.jobStore = l
		s.close = append(s.close, func() { _ = l.Close() })
		return "SQLite in " + file, nil
	}
	database, name := cfg.DatabaseURL, "PostgreSQL at "+host(cfg.DatabaseURL)
	if database == "" {
		p, err := servers.StartPostgres(ctx, filepath.Join(dir, "postgres"))
		if err != nil {
			return "", fmt.Errorf("--servers: %w (install PostgreSQL, or set DATABASE_URL)", err)
		}
		s.close = append(s.close, p.Stop)
		database, name = p.URL, "private PostgreSQL"
	}
	if !strings.HasPrefix(database, "postgres://") && !strings.HasPrefix(database, "postgresql://") {
		return "", fmt.Errorf("DATABASE_URL must begin with postgres://")
	}
	var pg postgres.Config
	if err := function.LoadWith(map[string]string{"DATABASE_URL": database}, &pg); err != nil {
		return "", err
	}
	l, err := postgres.Open(ctx, pg)
	if err != nil {
		return "", err
	}
	s.jobStore = l
	s.close = append(s.close, func() { _ = l.Close() })
	if err := jobstore.Start(ctx, l); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return name, nil
}

// host names a server without its password.
func host(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return "a local socket"
	}
	return u.Host
}
