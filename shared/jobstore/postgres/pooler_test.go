package postgres_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/jobstore"
	"github.com/zixly/sweepline/shared/jobstore/jobstoretest"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

// TestBehindAPooler is the suite behind PgBouncer in transaction mode, which
// gives each transaction another session of few.
func TestBehindAPooler(t *testing.T) {
	t.Parallel()
	program := servertest.Program(t, "pgbouncer")
	address := startPooler(t, program, servertest.Postgres(t))
	jobstoretest.Exercise(t, func(t *testing.T) jobstore.Store {
		direct, err := url.Parse(servertest.Postgres(t))
		require.NoError(t, err)
		return open(t, fmt.Sprintf("postgres://sweepline_owner@%s%s?sslmode=disable", address, direct.Path), true)
	})
}

// startPooler runs PgBouncer before all databases of the server at direct, and
// returns its address.
func startPooler(t *testing.T, program, direct string) string {
	t.Helper()
	u, err := url.Parse(direct)
	require.NoError(t, err)
	port := servertest.Port(t)
	dir, err := os.MkdirTemp("", "sweepline-pooler-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	users, config := filepath.Join(dir, "users"), filepath.Join(dir, "pgbouncer.ini")
	host := u.Query().Get("host")
	if host == "" {
		host = u.Host
	}
	name := u.Query().Get("user")
	if name == "" {
		name = u.User.Username()
	}
	require.NoError(t, os.WriteFile(users, fmt.Appendf(nil, "%q \"\"\n", name), 0o600))
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `[databases]
* = host=%s user=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
auth_file = %s
pool_mode = transaction
default_pool_size = 3
max_client_conn = 500
`, host, name, port, users), 0o600))
	cmd := exec.Command(program, config)
	if os.Geteuid() == 0 { // which it refuses, and the socket is that user's
		postgres, err := user.Lookup("postgres")
		require.NoError(t, err)
		uid, _ := strconv.Atoi(postgres.Uid)
		gid, _ := strconv.Atoi(postgres.Gid)
		for _, path := range []string{dir, users, config} {
			require.NoError(t, os.Chown(path, uid, gid))
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	cmd.Dir = dir
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	defer func() { _ = log.Close() }()
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("pgbouncer said:\n%s", text[max(0, len(text)-4000):])
		}
	})
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	require.Eventually(t, func() bool {
		c, err := (&net.Dialer{Timeout: time.Second}).DialContext(context.Background(), "tcp", address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, time.Minute, 10*time.Millisecond)
	return address
}
