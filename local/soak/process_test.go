//go:build !race

package soak_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kelseyhightower/envconfig"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/servers/servertest"
)

// settings tell the short run from the long one.
var settings struct {
	// Soak runs for as long as it takes to be sure.
	Soak bool `envconfig:"SWEEPLINE_SOAK"`
	// Logs is a folder that keeps what the processes say. Default: none is kept.
	Logs string `envconfig:"SWEEPLINE_SOAK_LOGS"`
}

func TestMain(m *testing.M) {
	envconfig.MustProcess("", &settings)
	servertest.Main(m)
}

// either is the short run's value or the long one's.
func either[T any](short, long T) T {
	if settings.Soak {
		return long
	}
	return short
}

// binDir is where make clean finds it.
const binDir = "../../.build/soak"

// binaries builds every function and the CLI once.
var binaries = sync.OnceValues(func() (string, error) {
	dir, err := filepath.Abs(binDir)
	if err != nil {
		return "", fmt.Errorf("find folder for binaries: %w", err)
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", dir+"/", "../../functions/cmd/...", "../cmd/sweepline")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build binaries: %w: %s", err, out)
	}
	return dir, nil
})

// process is a program that is restarted in the same place.
type process struct {
	t     testing.TB
	name  string
	args  []string
	env   []string
	port  int
	ready string // answers 2xx once the process works
	log   *os.File

	mu    sync.Mutex // one life at a time
	cmd   *exec.Cmd
	ended chan struct{}
	lives int
}

func (p *process) url() string { return fmt.Sprintf("http://127.0.0.1:%d", p.port) }

// start begins a life. It does not wait until the process works.
func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	dir, err := binaries()
	if err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(dir, p.name), p.args...)
	cmd.Env = append([]string{"PATH=/usr/bin:/bin"}, p.env...)
	cmd.Stdout, cmd.Stderr = p.log, p.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	ended := make(chan struct{})
	go func() {
		// The process dies with the thread that started it, so that it ends with
		// the test however that ends.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(ended)
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.cmd, p.ended = cmd, ended
	p.lives++
	return nil
}

// stop ends a life: SIGKILL leaves it no time for anything.
func (p *process) stop(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(sig)
	<-p.ended
	p.cmd = nil
}

// restart is called from other goroutines than the test's.
func (p *process) restart(sig syscall.Signal) {
	p.stop(sig)
	if err := p.start(); err != nil {
		p.t.Error(err)
	}
}

func (p *process) awaitReady() {
	p.t.Helper()
	require.Eventually(p.t, func() bool {
		resp, err := http.Get(p.ready)
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}, time.Minute, 20*time.Millisecond, "%s does not get ready:\n%s", p.name, p.tail())
}

// tail is the last of what the process said.
func (p *process) tail() string {
	lines := strings.Split(strings.TrimSpace(p.everything()), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

// everything is all that the process said, in all its lives.
func (p *process) everything() string {
	text, err := os.ReadFile(p.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(text)
}
