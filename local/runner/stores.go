package runner

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"
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
	// jobStore writes; surveyor reads jobs of all tenants; reader the rows of the tenant
	// that a call names. They are one where the database has one login.
	jobStore, surveyor, reader jobstore.Store
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
	if cfg.DatabaseURL == "" && (cfg.DatabaseReadURL != "" || cfg.DatabaseSurveyURL != "") {
		return "", errors.New("DATABASE_READ_URL and DATABASE_SURVEY_URL need DATABASE_URL")
	}
	switch {
	case cfg.DatabaseURL != "":
		name := "PostgreSQL at " + host(cfg.DatabaseURL)
		return name, s.openLogins(ctx, name, cfg.DatabaseURL, cfg.DatabaseSurveyURL, cfg.DatabaseReadURL, "")
	case cfg.Servers:
		p, err := servers.StartPostgres(ctx, filepath.Join(dir, "postgres"))
		if err != nil {
			return "", fmt.Errorf("--servers: %w (install PostgreSQL, or set DATABASE_URL)", err)
		}
		s.close = append(s.close, p.Stop)
		const name = "private PostgreSQL"
		key := rand.Text()
		logins, err := divide(ctx, p, key)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		most := min(max(4, runtime.NumCPU()), 16) // the server has 60 connections
		return name, s.openLogins(ctx, name, p.As(logins.Store, most), p.As(logins.Survey, 4), p.As(logins.Sealed, most), key)
	default:
		file := filepath.Join(dir, "sweepline.db")
		l, err := sqlite.Open(ctx, file)
		if err != nil {
			return "", err
		}
		s.jobStore, s.surveyor, s.reader = l, l, l
		s.close = append(s.close, func() { _ = l.Close() })
		return "SQLite in " + file, nil
	}
}

// divide brings the schema up to date as its owner, for whom there is nothing to do
// after, and gives the logins what they need. key seals the tenants of reads.
func divide(ctx context.Context, p *servers.Postgres, key string) (postgres.Logins, error) {
	logins, err := postgres.MakeRoles(ctx, p.SuperURL, servers.Person)
	if err != nil {
		return logins, err
	}
	owner, err := openPostgres(ctx, p.URL, key)
	if err != nil {
		return logins, err
	}
	defer func() { _ = owner.Close() }()
	if err := jobstore.Start(ctx, owner); err != nil {
		return logins, err
	}
	_, err = owner.Roles(ctx)
	return logins, err
}

// openLogins opens a database by the logins that write, survey all tenants, and read
// one. Those that have no URL of their own are the first. key seals the tenants of
// reads; empty: as DATABASE_READ_KEY says.
func (s *stores) openLogins(ctx context.Context, name, write, survey, read, key string) error {
	opened := map[string]jobstore.Store{}
	for _, login := range []struct {
		into *jobstore.Store
		url  string
	}{{&s.jobStore, write}, {&s.surveyor, survey}, {&s.reader, read}} {
		u := cmp.Or(login.url, write)
		if opened[u] == nil {
			if !strings.HasPrefix(u, "postgres://") && !strings.HasPrefix(u, "postgresql://") {
				return errors.New("DATABASE_URL, DATABASE_READ_URL and DATABASE_SURVEY_URL must begin with postgres://")
			}
			l, err := openPostgres(ctx, u, key)
			if err != nil {
				return err
			}
			s.close = append(s.close, func() { _ = l.Close() })
			if err := jobstore.Start(ctx, l); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			opened[u] = l
		}
		*login.into = opened[u]
	}
	return nil
}

func openPostgres(ctx context.Context, u, key string) (*postgres.Store, error) {
	set := map[string]string{"DATABASE_URL": u}
	if key != "" {
		set["DATABASE_READ_KEY"], set["DATABASE_READ_KEY_OLD"] = key, ""
	}
	var pg postgres.Config
	if err := function.LoadWith(set, &pg); err != nil {
		return nil, err
	}
	return postgres.Open(ctx, pg)
}

// host names a server without its password.
func host(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return "a local socket"
	}
	return u.Host
}
