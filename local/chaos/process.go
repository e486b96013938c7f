//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// restartDelay is how long a process that ended by itself stays away, as
	// under a service manager.
	restartDelay = 500 * time.Millisecond
	// graceful is how long a process may take to end on SIGTERM: pods get 45 s.
	graceful = 45 * time.Second
)

// process is a program that is kept running in one place until it is taken down.
type process struct {
	name string
	// command builds the next life.
	command func() *exec.Cmd
	// begun, if set, is called with the pid of each new life.
	begun func(pid int)
	// ready returns nil once the process works.
	ready func(context.Context) error
	log   *os.File
	// addr is where it listens, and gate, if set, is called when it begins to and
	// when it is gone.
	addr string
	gate func(listening bool)
	// family says that signals go to the children as well (PostgreSQL).
	family bool

	mu     sync.Mutex
	wanted bool
	cmd    *exec.Cmd
	ended  chan struct{} // closed when cmd has ended
	// exits are the lives that ended by themselves, with the last log line.
	exits []string
	// hung counts lives that did not end on SIGTERM.
	hung int
}

// up starts the process and keeps it up. It does not wait until it is ready.
func (p *process) up() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wanted {
		return nil
	}
	p.wanted = true
	return p.launch()
}

// launch begins a life; the caller holds mu.
func (p *process) launch() error {
	cmd, ended := p.command(), make(chan struct{})
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started := make(chan error)
	go func() {
		// The kernel ties Pdeathsig to the thread that forked.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait()
		if p.gate != nil { // before anyone can begin the next life
			p.gate(false)
		}
		close(ended)
		p.after(cmd)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.cmd, p.ended = cmd, ended
	if p.begun != nil {
		p.begun(cmd.Process.Pid)
	}
	if p.gate != nil {
		go p.announce(ended)
	}
	return nil
}

// announce opens the gate when a life listens.
func (p *process) announce(ended <-chan struct{}) {
	dialer := net.Dialer{Timeout: time.Second}
	for {
		if c, err := dialer.DialContext(context.Background(), "tcp", p.addr); err == nil {
			_ = c.Close()
			p.gate(true)
			return
		}
		select {
		case <-ended:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// after starts a process again that nobody took down.
func (p *process) after(cmd *exec.Cmd) {
	p.mu.Lock()
	if !p.wanted || p.cmd != cmd {
		p.mu.Unlock()
		return
	}
	p.exits = append(p.exits, fmt.Sprintf("%s: %s", cmd.ProcessState, lastLine(p.log.Name())))
	p.mu.Unlock()
	<-time.After(restartDelay)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wanted && p.cmd == cmd {
		if err := p.launch(); err != nil {
			p.exits = append(p.exits, err.Error())
		}
	}
}

// down ends the process by sig and keeps it down. A process that does not end
// on SIGTERM in time is killed and counted.
func (p *process) down(sig syscall.Signal) {
	p.mu.Lock()
	p.wanted = false
	cmd, ended := p.cmd, p.ended
	p.mu.Unlock()
	if cmd == nil {
		return
	}
	p.signal(sig)
	if sig != syscall.SIGKILL {
		p.signal(syscall.SIGCONT)
		select {
		case <-ended:
		case <-time.After(graceful):
			p.mu.Lock()
			p.hung++
			p.mu.Unlock()
			p.signal(syscall.SIGKILL)
		}
	}
	<-ended
}

// signal sends sig to the life that runs now, if any.
func (p *process) signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return
	}
	select {
	case <-p.ended:
		return
	default:
	}
	pid := p.cmd.Process.Pid
	if p.family && sig != syscall.SIGTERM && sig != syscall.SIGINT {
		for _, child := range children(pid) {
			_ = syscall.Kill(child, sig)
		}
	}
	_ = syscall.Kill(pid, sig)
}

// pid is that of the life that runs now, 0 if there is none.
func (p *process) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	select {
	case <-p.ended:
		return 0
	default:
		return p.cmd.Process.Pid
	}
}

// awaitReady asks until the process works.
func (p *process) awaitReady(ctx context.Context) error {
	err := poll(ctx, 50*time.Millisecond, p.ready)
	if err != nil {
		return fmt.Errorf("wait for %s: %w (last line of its log: %s)", p.name, err, lastLine(p.log.Name()))
	}
	return nil
}

func children(pid int) []int {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil
	}
	var pids []int
	for _, f := range strings.Fields(string(raw)) {
		if n, err := strconv.Atoi(f); err == nil {
			pids = append(pids, n)
		}
	}
	return pids
}

// lastLine is the last line of a log, cut to what a report can show.
func lastLine(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.Size() > 4096 {
		_, _ = f.Seek(-4096, io.SeekEnd)
	}
	raw, _ := io.ReadAll(f)
	raw = bytes.TrimSpace(raw)
	raw = raw[bytes.LastIndexByte(raw, '\n')+1:]
	return string(raw[:min(len(raw), 300)])
}

// openLog opens the log of a process in dir; all its lives write to it.
func openLog(dir, name string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log of %s: %w", name, err)
	}
	return f, nil
}

// poll calls check until it returns nil, or returns its last error when ctx ends.
func poll(ctx context.Context, every time.Duration, check func(context.Context) error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		try, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := check(try)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}
