//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/zixly/sweepline/shared/transport"
)

// tenants are those of a run; each one's key is "key-of-the-tenant-" and its name. The
// operator sees what is no tenant's.
var tenants = []string{"acme", "globex", "initech"}

const operator = "ops"

func keyOf(tenant string) string { return "key-of-the-tenant-" + tenant }

// world is a running pipeline with all that it stands on.
type world struct {
	o     options
	log   *slog.Logger
	dir   string
	bins  *binaries
	ports *ports
	links *links

	redis    *redisServer
	postgres *postgresServer
	people   *people
	api      *recorder
	// apiAddr is the simulator's, recorderAddr what stands before it.
	apiAddr, recorderAddr string
	slackAddr, mailAddr   string
	// frontAddr is where webhooks and callbacks come in.
	frontAddr string
	simulator *process
	// procs are the pipeline's, by name.
	procs map[string]*process
	// admin are the addresses that have /metrics.
	admin map[string]string
	// config is the folder that brokers read; empty where none does.
	config string

	mu sync.Mutex
	// skew is the clock offset of a process' next life.
	skew map[string]time.Duration
	// slowSweeps makes the simulator's next life slow and without faults.
	slowSweeps bool
	stops      []func()
}

// newWorld starts everything and waits until it is ready.
func newWorld(ctx context.Context, o options, bins *binaries, log *slog.Logger) (_ *world, err error) {
	w := &world{
		o: o, log: log, bins: bins, ports: &ports{given: map[int]bool{}}, procs: map[string]*process{},
		admin: map[string]string{}, skew: map[string]time.Duration{}, people: newPeople(),
	}
	w.links = newLinks(w.ports)
	defer func() {
		if err != nil {
			w.stop()
		}
	}()
	if w.dir, err = os.MkdirTemp("", "sweepline-chaos-"); err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	if err := os.Chmod(w.dir, 0o755); err != nil { //nolint:gosec // PostgreSQL runs as another user
		return nil, fmt.Errorf("open folder: %w", err)
	}
	for _, addr := range []*string{&w.apiAddr, &w.recorderAddr, &w.slackAddr, &w.mailAddr, &w.frontAddr} {
		if *addr, err = w.ports.next(); err != nil {
			return nil, err
		}
	}
	if err := w.startStores(ctx); err != nil {
		return nil, err
	}
	if err := w.startOutside(ctx); err != nil {
		return nil, err
	}
	layout := w.nodes
	if o.Layout == apart {
		layout = w.apart
	}
	if err := layout(); err != nil {
		return nil, err
	}
	for _, name := range w.names() {
		if err := w.procs[name].up(); err != nil {
			return nil, err
		}
	}
	return w, w.awaitReady(ctx)
}

func (w *world) startStores(ctx context.Context) error {
	addrs := [2]string{}
	for i := range addrs {
		var err error
		if addrs[i], err = w.ports.next(); err != nil {
			return err
		}
	}
	log, err := w.openLog("redis")
	if err != nil {
		return err
	}
	if w.redis, err = newRedis(addrs[0], filepath.Join(w.dir, "redis"), log); err != nil {
		return err
	}
	if log, err = w.openLog("postgres"); err != nil {
		return err
	}
	if w.postgres, err = newPostgres(ctx, addrs[1], filepath.Join(w.dir, "postgres"), log); err != nil {
		return err
	}
	for _, p := range []*process{w.redis.process, w.postgres.process} {
		p.gate = w.links.gate(p.name, w.log)
		if err := p.up(); err != nil {
			return err
		}
		if err := p.awaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// startOutside starts what the pipeline talks to that is not ours: the trading
// API and the people who are told.
func (w *world) startOutside(ctx context.Context) error {
	log, err := w.openLog("simulator")
	if err != nil {
		return err
	}
	w.simulator = &process{
		name: "simulator", log: log, ready: answers(w.apiAddr, "/health"),
		command: func() *exec.Cmd {
			return w.program("simulator", "sweepline", []string{"SIMULATOR_WORKERS=1", fmt.Sprintf("SIMULATOR_SEED=%d", w.o.Seed)}, w.simulatorArgs()...)
		},
	}
	if err := w.simulator.up(); err != nil {
		return err
	}
	w.api = &recorder{next: forward(newRotation(w.apiAddr))}
	for addr, h := range map[string]http.Handler{w.recorderAddr: w.api, w.slackAddr: w.people} {
		stop, err := serve(addr, h)
		if err != nil {
			return err
		}
		w.stops = append(w.stops, stop)
	}
	stop, err := w.people.serveMail(w.mailAddr)
	if err != nil {
		return err
	}
	w.stops = append(w.stops, stop)
	return w.simulator.awaitReady(ctx)
}

func (w *world) simulatorArgs() []string {
	args := []string{"simulator", "--port", portOf(w.apiAddr), "--state", w.simulatorDir(), "--concurrent", "0"}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.slowSweeps {
		return append(args, "--delay", slowSweep.String())
	}
	return append(args, "--delay", w.o.Delay.String(), "--lose-callbacks", "0.1", "--duplicate-callbacks", "0.1",
		"--early-callbacks", "0.05", "--late-callbacks", "1s", "--lose-answers", "0.03", "--fail", "0.05")
}

func (w *world) simulatorDir() string { return filepath.Join(w.dir, "simulator") }

func (w *world) sweeps() ([]sweep, error) {
	return readSweeps(filepath.Join(w.simulatorDir(), "simulator.jsonl"))
}

// link returns the address at which client reaches server.
func (w *world) link(server, client string) (string, error) {
	upstream := map[string]string{
		"redis": w.redis.addr, "postgres": w.postgres.addr, "api": w.recorderAddr, slack: w.slackAddr, email: w.mailAddr, "front": w.frontAddr,
	}[server]
	return w.links.open(server, client, upstream)
}

// env is the environment of the pipeline's process name, all but what differs
// between layouts.
func (w *world) env(name string) ([]string, error) {
	at := map[string]string{}
	for _, server := range []string{"redis", "postgres", "api", slack, email} {
		addr, err := w.link(server, name)
		if err != nil {
			return nil, err
		}
		at[server] = addr
	}
	front, err := w.link("front", "api")
	if err != nil {
		return nil, err
	}
	keys := []string{operator + ":" + keyOf(operator)}
	for _, t := range tenants {
		keys = append(keys, t+":"+keyOf(t))
	}
	env := []string{
		"HOME=" + w.dir, "REDIS_URL=redis://" + at["redis"] + "/0", "DATABASE_URL=" + w.postgres.url(at["postgres"]),
		"TRADING_API_URL=http://" + at["api"], fmt.Sprintf("TRADING_API_MAX_CONCURRENT=%d", w.o.Concurrent),
		fmt.Sprintf("TRADING_API_REQUESTS_PER_MINUTE=%d", w.o.Budget),
		"SLACK_WEBHOOK_URL=http://" + at[slack] + "/hook", "SMTP_URL=smtp://" + at[email] + "?tls=none",
		"NOTIFY_EMAIL_FROM=sweepline@example.com", "NOTIFY_EMAIL_TO=desk@example.com",
		"WEBHOOK_BASE_URL=http://" + front, "CALLBACK_SECRET=chaos-chaos-chaos-chaos-chaos-chaos", "EVENT_SEAL_KEY=chaos-chaos-chaos-chaos-chaos-seals",
		// The first of several keeps its name over restarts, the others have none.
		"BROKER_INSTANCE=" + map[bool]string{true: name}[strings.HasSuffix(name, "-1")],
		"TENANT_KEYS=" + strings.Join(keys, ","), "OPERATOR_TENANTS=" + operator, "CALLBACK_TIMEOUT=30m",
		"TENANT_REQUESTS_PER_SECOND=0", "TENANT_OPEN_JOBS=0", // outages pile up more than a share
		"TENANT_SLOTS_KEPT=0", // all slots are counted in the end, by fewer tenants than there are
	}
	return append(append(env, w.o.Settings...), w.o.Env...), nil
}

// program is the command of a process' next life. It is the skewed one where the
// process' clock is to be off.
func (w *world) program(name, program string, env []string, args ...string) *exec.Cmd {
	w.mu.Lock()
	offset := w.skew[name]
	w.mu.Unlock()
	dir := w.bins.dir
	if offset != 0 {
		dir = w.bins.skewed
		env = append(slices.Clone(env), fmt.Sprintf("%s=%d", clockVariable, int(offset/time.Second)))
	}
	cmd := exec.Command(filepath.Join(dir, program), args...) //nolint:noctx // down ends it
	cmd.Env = append([]string{"PATH=/usr/bin:/bin"}, env...)
	return cmd
}

// setSkew moves the clock of a process' next life.
func (w *world) setSkew(name string, by time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.skew[name] = by
}

// add makes a process of the pipeline; probe is the address and path that answer
// 200 once it is ready.
func (w *world) add(name, program string, env []string, probe, path string, args ...string) error {
	log, err := w.openLog(name)
	if err != nil {
		return err
	}
	w.procs[name] = &process{
		name: name, log: log, ready: answers(probe, path),
		command: func() *exec.Cmd { return w.program(name, program, env, args...) },
	}
	w.admin[name] = probe
	return nil
}

func (w *world) openLog(name string) (*os.File, error) {
	f, err := openLog(w.dir, name)
	if err == nil {
		w.stops = append(w.stops, func() { _ = f.Close() })
	}
	return f, err
}

// names are the pipeline's processes in order.
func (w *world) names() []string {
	var names []string
	for name := range w.procs {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// awaitReady waits for every process, for two minutes at most.
func (w *world) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	var errs []error
	for _, name := range w.names() {
		errs = append(errs, w.procs[name].awaitReady(ctx))
	}
	return errors.Join(append(errs, w.simulator.awaitReady(ctx))...)
}

// heal undoes every fault, whatever state things are in, and waits until all
// processes are ready again.
func (w *world) heal(ctx context.Context) error {
	all := append([]*process{w.redis.process, w.postgres.process, w.simulator}, w.pipeline()...)
	w.api.refuse.Store(0)
	w.people.slackStatus.Store(0)
	w.people.slackHangs.Store(false)
	w.people.mailRefused.Store(false)
	for _, p := range all {
		p.signal(syscall.SIGCONT)
	}
	var errs []error
	for _, name := range w.links.names() {
		errs = append(errs, w.links.restore(ctx, name))
	}
	errs = append(errs, w.redis.diskFree())
	for _, p := range all {
		errs = append(errs, p.up())
	}
	if w.config != "" {
		errs = append(errs, w.writeManifests())
	}
	errs = append(errs, w.redis.awaitReady(ctx), w.postgres.awaitReady(ctx), w.redis.restore(ctx), w.postgres.readOnly(ctx, false))
	return errors.Join(append(errs, w.awaitReady(ctx))...)
}

func (w *world) pipeline() []*process {
	var all []*process
	for _, name := range w.names() {
		all = append(all, w.procs[name])
	}
	return all
}

// stop ends everything. The folder stays.
func (w *world) stop() {
	var g errgroup.Group
	for _, p := range append(w.pipeline(), w.simulator) {
		if p != nil {
			g.Go(func() error { p.down(syscall.SIGKILL); return nil })
		}
	}
	_ = g.Wait()
	if w.postgres != nil {
		w.postgres.signal(syscall.SIGCONT)
		w.postgres.down(syscall.SIGINT)
	}
	if w.redis != nil {
		w.redis.down(syscall.SIGKILL)
		_ = w.redis.admin.Close()
	}
	w.links.close()
	for _, stop := range slices.Backward(w.stops) {
		stop()
	}
}

// answers asks http://addr/path for 200.
func answers(addr, path string) func(context.Context) error {
	return func(ctx context.Context) error {
		resp, err := get(ctx, "http://"+addr+path, "")
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s", path, resp.Status)
		}
		return nil
	}
}

// get asks as a tenant, or as nobody.
func get(ctx context.Context, url, tenant string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("build request: %w", err)
	}
	if tenant != "" {
		req.Header.Set("Authorization", "Bearer "+keyOf(tenant))
	}
	return client.Do(req)
}

// client is how the run speaks HTTP. Nobody waits longer than ten seconds.
var client = &http.Client{Timeout: 10 * time.Second, Transport: transport.New(32, nil)}
