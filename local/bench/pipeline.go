package bench

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

//go:embed start.sh
var startScript []byte

// role is a share of the pipeline's work, as start.sh takes it.
type role string

const (
	all      role = "all"
	receiver role = "receiver"
)

// startTimeout is how long a start may take on a busy machine.
const startTimeout = time.Minute

// pipeline is a process that start.sh has started.
type pipeline struct {
	// host is where jobs go in, admin where metrics are.
	host, admin string
	pid         int
	cmd         *exec.Cmd
	out         *tail
	done        chan struct{}
	err         error
}

// startPipeline starts it and returns at once.
func startPipeline(ctx context.Context, dir, program string, r role, env ...string) (*pipeline, error) {
	script := filepath.Join(dir, "start.sh")
	if err := os.WriteFile(script, startScript, 0o700); err != nil { //nolint:gosec // a script of ours, in a folder of ours
		return nil, fmt.Errorf("write start script: %w", err)
	}
	data, err := os.MkdirTemp(dir, "data-")
	if err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	return startProgram(ctx, "bash", func(port, admin int) (args, set []string) {
		return []string{script}, append(env, "SWEEPLINE="+program, "ROLE="+string(r), fmt.Sprintf("PORT=%d", port), fmt.Sprintf("ADMIN_PORT=%d", admin),
			fmt.Sprintf("WEBHOOK_BASE_URL=http://127.0.0.1:%d", port), "DATA_DIR="+data)
	})
}

// startProgram starts a program of ours on free ports and returns at once. with gives
// its arguments and what it has in its environment besides ours.
func startProgram(ctx context.Context, program string, with func(port, admin int) (args, env []string)) (*pipeline, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	admin, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	p := &pipeline{host: fmt.Sprintf("127.0.0.1:%d", port), admin: fmt.Sprintf("http://127.0.0.1:%d", admin), out: &tail{}, done: make(chan struct{})}
	args, env := with(port, admin)
	p.cmd = exec.Command(program, args...) //nolint:noctx // close ends it in order
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	endWithUs(p.cmd.SysProcAttr)
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // it ends with this thread
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	p.pid = p.cmd.Process.Pid
	return p, nil
}

// awaitHealth waits until GET /health is answered with 200.
func (p *pipeline) awaitHealth(ctx context.Context) error {
	request := fmt.Appendf(nil, "GET /health HTTP/1.1\r\nHost: %s\r\n\r\n", p.host)
	return p.poll(ctx, func(c *conn) bool {
		status, _, _, err := c.send(ctx, request)
		return err == nil && status == http.StatusOK
	})
}

// poll calls try every millisecond until it succeeds, or the process ends.
func (p *pipeline) poll(ctx context.Context, try func(*conn) bool) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	c := &conn{address: p.host}
	defer c.close()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !try(c) {
		select {
		case <-p.done:
			return fmt.Errorf("pipeline ended: %w: %s", p.err, p.out)
		case <-ctx.Done():
			return fmt.Errorf("wait for pipeline: %w: %s", ctx.Err(), p.out)
		case <-tick.C:
		}
	}
	return nil
}

// close ends it in order, and after half a minute by force.
func (p *pipeline) close() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
		return errors.New("pipeline did not end on SIGTERM")
	}
	if p.err != nil {
		return fmt.Errorf("pipeline: %w: %s", p.err, p.out)
	}
	return nil
}

// metrics reads the process's counters and gauges, the series of each name added up,
// and also each by its name and labels.
func (p *pipeline) metrics(ctx context.Context) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.admin+"/metrics", http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("ask for metrics: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask for metrics: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	n := map[string]float64{}
	for name, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			v := m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			n[name] += v
			if len(labels) > 0 {
				n[name+"{"+strings.Join(labels, ",")+"}"] += v
			}
		}
	}
	return n, nil
}

// tail keeps the last of what a process says.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if n := len(t.buf) - 4<<10; n > 0 {
		t.buf = append(t.buf[:0], t.buf[n:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.buf))
}
