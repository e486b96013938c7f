// Package servers finds redis-server and PostgreSQL on this machine and runs
// private ones: for `sweepline up --servers` and for tests. The servers listen
// on unix sockets in a folder of their own and end with their parent, however
// that ends.
package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrNotInstalled is the error of a server whose program is not on this machine.
var ErrNotInstalled = errors.New("not installed")

// find looks for a program on PATH, then in the folders where Debian and
// others keep PostgreSQL's, newest version first.
func find(program string) (string, error) {
	if p, err := exec.LookPath(program); err == nil {
		return p, nil
	}
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin/", "/usr/pgsql-*/bin/", "/opt/homebrew/opt/postgresql*/bin/", "/usr/local/opt/postgresql*/bin/"} {
		found, err := filepath.Glob(pattern + program)
		if err != nil {
			return "", fmt.Errorf("look for %s: %w", program, err)
		}
		if len(found) > 0 {
			sort.Strings(found)
			return found[len(found)-1], nil
		}
	}
	return "", fmt.Errorf("%s: %w", program, ErrNotInstalled)
}

// process is a server of ours.
type process struct {
	name string
	cmd  *exec.Cmd
	out  *tail
	done chan struct{} // closed once the process has ended
	err  error         // how it ended; read after done
	stop sync.Once
}

// environment is what our servers and their tools get of our environment:
// enough to find programs and to speak a language, none of our settings, since
// some of those are secrets and the server runs as another user.
func environment() []string {
	var env []string
	for _, name := range []string{"PATH", "LANG", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "TZ", "TMPDIR", "LD_LIBRARY_PATH"} {
		if value, ok := os.LookupEnv(name); ok { //nolint:forbidigo // passed on, not read
			env = append(env, name+"="+value)
		}
	}
	if env == nil {
		return []string{"LC_ALL=C"} // nil would be all of ours
	}
	return env
}

// start runs cmd so that it ends with us: PDEATHSIG is tied to the thread that
// forked, so that thread is held until the process has ended.
func start(name string, cmd *exec.Cmd, death syscall.Signal) (*process, error) {
	p := &process{name: name, cmd: cmd, out: &tail{}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.out, p.out
	cmd.Env = environment()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true // Ctrl-C is for us, we stop it in order
	endWithParent(cmd.SysProcAttr, death)
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// patient is after how long a start is slow enough to be told of.
const patient = 3 * time.Second

// ready calls check until it succeeds, the process ends or ctx is over.
func (p *process) ready(ctx context.Context, check func(context.Context) error) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	slow := time.Now().Add(patient)
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if !slow.IsZero() && time.Now().After(slow) {
			slog.WarnContext(ctx, "server is starting, waiting", "server", p.name, "timeout_seconds", startLimit.Seconds(), "error", err)
			slow = time.Time{}
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended: %w: %s", p.name, p.err, p.out)
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w: %s", p.name, err, p.out)
		case <-tick.C:
		}
	}
}

// end sends sig and waits; after ten seconds it kills.
func (p *process) end(sig syscall.Signal) {
	p.stop.Do(func() {
		select {
		case <-p.done:
			return
		default:
		}
		_ = p.cmd.Process.Signal(sig)
		select {
		case <-p.done:
		case <-time.After(10 * time.Second):
			p.kill()
		}
	})
}

// kill ends the process at once, as kill -9 does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// tail keeps the last few KiB of what a server says, for its error message.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if n := len(t.buf) - tailSize; n > 0 {
		t.buf = append(t.buf[:0], t.buf[n:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.buf))
}

// waitGone waits until the process named in a pid file has ended: after a
// kill -9 of ours, its servers may still be writing their last.
func waitGone(ctx context.Context, pidFile, program string) error {
	pid, err := readPid(pidFile)
	if err != nil || pid == 0 {
		return err
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for runs(pid, program) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("another %s (pid %d) still uses %s: stop it, or choose another --data-dir", program, pid, filepath.Dir(pidFile))
		case <-tick.C:
		}
	}
	return nil
}

// readPid gives the number in a server's pid file; 0 where there is none, or
// where a crash tore it.
func readPid(file string) (int, error) {
	raw, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read pid file: %w", err)
	}
	first, _, _ := strings.Cut(string(raw), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 1 {
		return 0, nil //nolint:nilerr // torn by a crash: names no process
	}
	return pid, nil
}

// runs reports whether pid is alive and is that program.
func runs(pid int, program string) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return !errors.Is(err, os.ErrNotExist) || runtime.GOOS != "linux"
	}
	return strings.HasPrefix(strings.TrimSpace(string(comm)), program)
}

// unprivileged gives the user to run PostgreSQL as, which refuses root; nil
// where we are not root.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errU := strconv.ParseUint(u.Uid, 10, 32)
		gid, errG := strconv.ParseUint(u.Gid, 10, 32)
		if errU == nil && errG == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as")
}
