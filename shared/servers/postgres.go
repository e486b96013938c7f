package servers

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Postgres is a private PostgreSQL.
type Postgres struct {
	// URL names its database "sweepline" as the role "sweepline_owner", which owns it and
	// may do nothing beyond: it is no superuser, and makes neither roles nor databases.
	URL string
	// SuperURL is the same as superuser, for creating databases.
	SuperURL string
	p        *process
	socket   string
}

// Person is a login that owns nothing, for people to look around with: of itself it
// may do nothing.
const Person = "sweepline"

// StartPostgres runs PostgreSQL on dir, made with initdb the first time. As
// root it runs as the user postgres (or nobody), and, where that user may not
// enter dir, keeps its files under /var/lib/sweepline instead. args are further
// settings ("-c name=value"). The error is ErrNotInstalled where there is none.
func StartPostgres(ctx context.Context, dir string, args ...string) (*Postgres, error) {
	program, err := find("postgres")
	if err != nil {
		return nil, err
	}
	as, err := unprivileged()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if dir, err = ownDir(dir, as); err != nil {
		return nil, err
	}
	if err := waitGone(ctx, filepath.Join(dir, "postmaster.pid"), "postgres"); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, "PG_VERSION")); err != nil {
		if err := initdb(ctx, dir, as); err != nil {
			return nil, err
		}
	}
	socket, err := socketDir(dir, as)
	if err != nil {
		return nil, err
	}
	if err := dropForeignPid(filepath.Join(dir, "postmaster.pid")); err != nil {
		return nil, err
	}
	for {
		p, err := startPostmaster(ctx, program, dir, socket, as, args)
		if err == nil {
			return &Postgres{URL: dsn(socket, Owner, "sweepline"), SuperURL: dsn(socket, "postgres", "postgres"), p: p, socket: socket}, nil
		}
		// After a kill -9 of the postmaster its backends take a moment to see
		// it, and PostgreSQL rightly refuses to start beside them.
		if !strings.Contains(err.Error(), "pre-existing shared memory block") {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func startPostmaster(ctx context.Context, program, dir, socket string, as *syscall.Credential, args []string) (*process, error) {
	cmd := exec.Command(program, append([]string{ //nolint:noctx // it outlives the start; Stop ends it
		"-D", dir, "-k", socket, "-c", "listen_addresses=", "-c", "max_connections=60", "-c", "timezone=UTC",
	}, args...)...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	p, err := start("postgres", cmd, syscall.SIGINT) // SIGINT: fast shutdown
	if err != nil {
		return nil, err
	}
	if err := p.ready(ctx, func(ctx context.Context) error { return firstUse(ctx, socket) }); err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

// dropForeignPid removes a pid file whose number another program has by now:
// PostgreSQL would take that for a rival. One whose process is dead is left
// alone, since PostgreSQL reads in it whether old backends still run.
func dropForeignPid(file string) error {
	pid, err := readPid(file)
	if err != nil || pid == 0 || syscall.Kill(pid, 0) != nil {
		return err
	}
	if err := os.Remove(file); err != nil {
		return fmt.Errorf("remove stale pid file: %w", err)
	}
	return nil
}

// Stop ends the server in order: open connections are closed.
func (p *Postgres) Stop() {
	p.p.end(syscall.SIGINT)
	_ = os.RemoveAll(p.socket)
}

// Kill ends the server as kill -9 does; StartPostgres on the same dir gives it back.
func (p *Postgres) Kill() { p.p.kill() }

// As is URL as another login. Only who may enter the socket's folder connects, so none
// has a password. most bounds the connections of a pool.
func (p *Postgres) As(login string, most int) string {
	return dsn(p.socket, login, "sweepline") + fmt.Sprintf("&pool_max_conns=%d", most)
}

// Owner is the login that owns the database, and makes and changes its tables.
const Owner = "sweepline_owner"

func dsn(socket, role, database string) string {
	return fmt.Sprintf("postgres:///%s?host=%s&user=%s&sslmode=disable", database, url.QueryEscape(socket), role)
}

func initdb(ctx context.Context, dir string, as *syscall.Credential) error {
	program, err := find("initdb")
	if err != nil {
		return err
	}
	// Only who may enter the socket's folder can connect, hence trust.
	cmd := exec.CommandContext(ctx, program, "-D", dir, "-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C", "--no-instructions")
	cmd.Dir, cmd.Env = dir, environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return nil
}

// firstUse waits for the server and makes the role and the database, once.
func firstUse(ctx context.Context, socket string) error {
	c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", filepath.Join(socket, ".s.PGSQL.5432"))
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	_ = c.Close()
	psql, err := find("psql")
	if err != nil {
		return err
	}
	// The owner was called sweepline in versions before.
	const script = `
SELECT 'ALTER ROLE sweepline RENAME TO sweepline_owner' WHERE EXISTS (SELECT FROM pg_roles WHERE rolname = 'sweepline')
	AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sweepline_owner') \gexec
SELECT 'CREATE ROLE ' || name || ' LOGIN' FROM unnest(ARRAY['sweepline_owner', 'sweepline']) AS name
	WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
SELECT 'ALTER ROLE sweepline_owner NOCREATEDB' WHERE EXISTS (SELECT FROM pg_roles WHERE rolname = 'sweepline_owner' AND rolcreatedb) \gexec
SELECT 'CREATE DATABASE sweepline OWNER sweepline_owner' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'sweepline') \gexec
`
	cmd := exec.CommandContext(ctx, psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", socket, "-U", "postgres", "-d", "postgres")
	cmd.Stdin, cmd.Env = strings.NewReader(script), environment()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make database: %w: %s", err, out)
	}
	return nil
}

// ownDir makes dir (or the stand-in for one that as may not enter) and gives
// it to as.
func ownDir(dir string, as *syscall.Credential) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("postgres folder: %w", err)
	}
	if as != nil && !open(filepath.Dir(dir)) {
		dir = filepath.Join("/var/lib/sweepline", shortName(dir))
	}
	if err := passable(filepath.Dir(dir)); err != nil {
		return "", fmt.Errorf("make postgres folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make postgres folder: %w", err)
	}
	if as != nil {
		if err := os.Chown(dir, int(as.Uid), int(as.Gid)); err != nil {
			return "", fmt.Errorf("give postgres its folder: %w", err)
		}
	}
	return dir, nil
}

// passable makes dir, and what is missing above it, so that another user may
// pass, whatever the umask is. Folders that are there stay as they are.
func passable(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if up := filepath.Dir(dir); up != dir {
		if err := passable(up); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) { //nolint:gosec // the other user must pass
		return err
	}
	return os.Chmod(dir, 0o755) //nolint:gosec // see above
}

// open reports whether every folder up from dir lets other users pass; one
// that is not there yet will be made so.
func open(dir string) bool {
	for ; ; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

// socketDir makes the folder of dir's socket: short, since a socket's path may
// have 107 bytes, always the same, and entered by its owner only.
func socketDir(dir string, as *syscall.Credential) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("socket folder: %w", err)
	}
	uid, gid := os.Geteuid(), os.Getegid()
	if as != nil {
		uid, gid = int(as.Uid), int(as.Gid)
	}
	socket := filepath.Join("/tmp", fmt.Sprintf("sweepline-%d-%s", uid, shortName(abs)))
	if err := os.Mkdir(socket, 0o700); err == nil {
		if err := os.Chown(socket, uid, gid); err != nil {
			return "", fmt.Errorf("socket folder: %w", err)
		}
	}
	// Anyone may write in /tmp: what stands there must be a folder of ours.
	info, err := os.Lstat(socket)
	if err != nil {
		return "", fmt.Errorf("socket folder: %w", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || info.Mode().Perm() != 0o700 || !ok || int(stat.Uid) != uid {
		return "", fmt.Errorf("%s is not a private folder of user %d: remove it", socket, uid)
	}
	return socket, nil
}

func shortName(path string) string {
	sum := sha256.Sum256([]byte(path))
	return fmt.Sprintf("%x", sum[:6])
}
