// Package servertest gives tests their Redis and PostgreSQL: the ones named by
// REDIS_URL and DATABASE_URL, else private ones started from the programs on
// this machine, one of each for a test binary. Where there is none, the test is
// skipped and says so; with SWEEPLINE_REQUIRE_SERVERS=1 it fails.
package servertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/jackc/pgx/v5"
	"github.com/kelseyhightower/envconfig"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/servers"
)

type config struct {
	// RedisURL is a Redis to test on. Empty: private servers.
	RedisURL string `envconfig:"REDIS_URL"`
	// DatabaseURL is a PostgreSQL to test on. Empty: private servers.
	DatabaseURL string `envconfig:"DATABASE_URL"`
	// Require makes tests fail that would be skipped for want of a server.
	Require bool `envconfig:"SWEEPLINE_REQUIRE_SERVERS"`
}

var env = sync.OnceValue(func() config {
	var c config
	envconfig.MustProcess("", &c)
	return c
})

// dir is the private servers' folder, removed by Main.
var dir = sync.OnceValues(func() (string, error) {
	d, err := os.MkdirTemp("", "sweepline-test-")
	if err != nil {
		return "", fmt.Errorf("make test folder: %w", err)
	}
	return d, os.Chmod(d, 0o755) //nolint:gosec // PostgreSQL may run as another user
})

var started struct {
	mu   sync.Mutex
	stop []func()
}

func atEnd(stop func()) {
	started.mu.Lock()
	defer started.mu.Unlock()
	started.stop = append(started.stop, stop)
}

var redis = sync.OnceValues(func() (string, error) {
	if u := env().RedisURL; u != "" {
		return u, nil
	}
	d, err := dir()
	if err != nil {
		return "", err
	}
	// Durability is not what most tests look at; those that do start their own.
	r, err := servers.StartRedis(context.Background(), d+"/redis", "--appendonly", "no")
	if err != nil {
		return "", err
	}
	atEnd(r.Stop)
	return r.URL, nil
})

var postgres = sync.OnceValues(func() (string, error) {
	if u := env().DatabaseURL; u != "" {
		return u, nil
	}
	d, err := dir()
	if err != nil {
		return "", err
	}
	p, err := servers.StartPostgres(context.Background(), d+"/postgres", "-c", "fsync=off", "-c", "shared_buffers=32MB")
	if err != nil {
		return "", err
	}
	atEnd(p.Stop)
	superuser = p.SuperURL
	return p.URL, nil
})

// superuser is of the private PostgreSQL, empty while there is none.
var superuser string

// Administer runs a statement as superuser in the database of a URL that Postgres
// gave. With a PostgreSQL that is not ours the test is skipped.
func Administer(t testing.TB, database, statement string) {
	t.Helper()
	if superuser == "" {
		t.Skip("left out: needs a PostgreSQL of the tests' own, and DATABASE_URL names another")
	}
	u, err := url.Parse(superuser)
	require.NoError(t, err)
	at, err := url.Parse(database)
	require.NoError(t, err)
	u.Path = at.Path
	execute(t, u.String(), statement)
}

// Main runs the tests of a package and then stops its servers and removes
// their files: call it from TestMain.
func Main(m *testing.M) {
	// A test server that closes also closes http.DefaultTransport's connections,
	// under the requests of tests that run beside it.
	http.DefaultClient.Transport = http.DefaultTransport.(*http.Transport).Clone()
	code := m.Run()
	started.mu.Lock()
	for _, stop := range started.stop {
		stop()
	}
	if len(started.stop) > 0 {
		if d, err := dir(); err == nil {
			_ = os.RemoveAll(d)
		}
	}
	os.Exit(code)
}

// Redis gives the URL of a real Redis that the tests of this binary share: use
// keys of your own and never flush it.
func Redis(t testing.TB) string {
	t.Helper()
	u, err := redis()
	return orSkip(t, "Redis", u, err)
}

// AnyRedis gives the URL of a real Redis that tests share, or of an embedded one where
// none is found. It is for tests of thousands of steps, which the scripts of the
// embedded one, interpreted in Go, make ten times longer: use keys of your own.
func AnyRedis(t testing.TB) string {
	t.Helper()
	if u, err := redis(); !errors.Is(err, servers.ErrNotInstalled) || env().Require {
		return orSkip(t, "Redis", u, err)
	}
	return Miniredis(t)
}

// Miniredis gives the URL of an embedded Redis of the test's own.
func Miniredis(t testing.TB) string {
	t.Helper()
	m := miniredis.NewMiniRedis()
	m.ClockTTL(true) // keys expire as time passes, as in the runner
	require.NoError(t, m.Start())
	t.Cleanup(m.Close)
	return "redis://" + m.Addr()
}

var databases atomic.Int64

// Postgres gives the URL of a fresh, empty database on a real PostgreSQL,
// dropped when the test ends. Its role owns it and is no superuser.
func Postgres(t testing.TB) string {
	t.Helper()
	base, err := postgres()
	base = orSkip(t, "PostgreSQL", base, err)
	name := fmt.Sprintf("sweepline_test_%d_%d", os.Getpid(), databases.Add(1))
	u, err := url.Parse(base)
	require.NoError(t, err)
	maker, owner := base, ""
	if superuser != "" { // who may end other roles' connections, which take a moment to go
		maker, owner = superuser, " OWNER "+u.Query().Get("user")
	}
	execute(t, maker, "CREATE DATABASE "+name+owner)
	t.Cleanup(func() { execute(t, maker, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	u.Path = "/" + name
	return u.String()
}

func execute(t testing.TB, database, statement string) {
	t.Helper()
	c, err := pgx.Connect(context.Background(), database)
	require.NoError(t, err)
	defer func() { _ = c.Close(context.Background()) }()
	_, err = c.Exec(context.Background(), statement)
	require.NoError(t, err)
}

// Program gives the path of a program that a test needs. Without it the test is
// skipped and says so, or fails where servers are required.
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
		return path
	case env().Require:
		t.Fatalf("the test needs %s, which is not installed", name)
	default:
		t.Skipf("left out: needs %s, which is not installed", name)
	}
	return ""
}

func orSkip(t testing.TB, server, u string, err error) string {
	t.Helper()
	switch {
	case err == nil:
		return u
	case errors.Is(err, servers.ErrNotInstalled) && !env().Require:
		t.Skipf("left out: needs a real %s (install it, or set %s_URL)", server,
			map[string]string{"Redis": "REDIS", "PostgreSQL": "DATABASE"}[server])
	default:
		t.Fatalf("%s for the test: %s", server, strings.TrimSpace(err.Error()))
	}
	return ""
}

// Port gives a port on 127.0.0.1 that nobody listens on, for a process that is started
// on it later, perhaps again and again. It lies below the range from which the kernel
// takes ports for outgoing connections: one of those would be in the way.
func Port(t testing.TB) int {
	t.Helper()
	const lowest, highest = 12_000, 32_000
	for range 1000 {
		port := lowest + rand.IntN(highest-lowest)
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		require.NoError(t, l.Close())
		return port
	}
	require.FailNow(t, "no port is free")
	return 0
}
