package broker

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/servers"
	"github.com/zixly/sweepline/shared/servers/servertest"
)

// durableRedis is a real one of the test's own, append-only, which the test may
// kill and start again.
func durableRedis(t *testing.T, args ...string) (*servers.Redis, string) {
	t.Helper()
	servertest.Redis(t) // skips, or fails, where there is none
	dir := filepath.Join(t.TempDir(), "redis")
	r, err := servers.StartRedis(t.Context(), dir, args...)
	require.NoError(t, err)
	return r, dir
}

// TestNodeProcess is not a test: TestCrashes runs it as processes to be killed.
func TestNodeProcess(t *testing.T) {
	if flag.NArg() != 3 {
		t.Skip("run by TestCrashes")
	}
	url, name, subscriber := flag.Arg(0), flag.Arg(1), flag.Arg(2)
	opts, err := redis.ParseURL(url)
	require.NoError(t, err)
	cfg := crashConfig()
	srv, err := New(cfg, redis.NewClient(opts), nil, quiet())
	require.NoError(t, err)
	b := Broker{Namespace: "test", Name: name}
	set := Set{Brokers: []Broker{b}}
	for _, trigger := range []string{"one", "two"} {
		set.Triggers = append(set.Triggers, Trigger{
			Namespace: b.Namespace, Broker: b.Name, Name: trigger, Subscriber: subscriber + "/" + trigger,
			Delivery: Delivery{Retry: 100, BackoffDelay: 20 * time.Millisecond, BackoffPolicy: BackoffLinear},
		})
	}
	for srv.Apply(t.Context(), set) != nil { // Redis may be away just now
		require.True(t, sleep(t.Context(), 20*time.Millisecond))
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = (&http.Server{Handler: srv.Handler(), ReadHeaderTimeout: time.Second}).Serve(l) }()
	_, err = fmt.Fprintln(os.Stdout, "LISTEN", l.Addr())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with the parent
		cancel()
	}()
	require.NoError(t, srv.Run(ctx))
}

func crashConfig() Config {
	cfg := DefaultConfig()
	cfg.ClaimIdle = time.Second
	cfg.Block = 200 * time.Millisecond
	return cfg
}

// process is a node that can be killed, and is then another one.
type nodeProcess struct {
	t    *testing.T
	args []string
	addr atomic.Value
	cmd  *exec.Cmd
	in   io.WriteCloser
}

func (p *nodeProcess) start() {
	p.cmd = exec.Command(os.Args[0], append([]string{"-test.run", "^TestNodeProcess$", "-test.timeout", "5m", "--"}, p.args...)...)
	out, err := p.cmd.StdoutPipe()
	require.NoError(p.t, err)
	p.in, err = p.cmd.StdinPipe()
	require.NoError(p.t, err)
	require.NoError(p.t, p.cmd.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if addr, ok := strings.CutPrefix(lines.Text(), "LISTEN "); ok {
			p.addr.Store(addr)
			return
		}
	}
	require.FailNow(p.t, "node did not start")
}

func (p *nodeProcess) kill() {
	require.NoError(p.t, p.cmd.Process.Kill())
	_ = p.cmd.Wait() // killed, as meant
}

// Nodes are killed at random and Redis twice: every event that was answered with
// 202 reaches every subscriber.
func TestCrashes(t *testing.T) {
	t.Parallel()
	const events, publishers = 10_000, 16
	r, dir := durableRedis(t)
	stop := func() { r.Stop() }
	defer func() { stop() }()

	var mu sync.Mutex
	got := map[string]map[string]int{"/one": {}, "/two": {}}
	subscriber := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		got[r.URL.Path][r.Header.Get("Ce-Id")]++
	})}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = subscriber.Serve(l) }()
	defer func() { _ = subscriber.Close() }()

	nodes := make([]*nodeProcess, 2)
	for i := range nodes {
		nodes[i] = &nodeProcess{t: t, args: []string{r.URL, "crash", "http://" + l.Addr().String()}}
		nodes[i].start()
		defer nodes[i].kill()
	}

	var accepted atomic.Int64
	milestone := make(chan int64, 100)
	next := make(chan int)
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range next {
				for try := p; !post(nodes[try%2].addr.Load().(string), i); try++ {
					if !sleep(t.Context(), 5*time.Millisecond) {
						return
					}
				}
				if n := accepted.Add(1); n%1000 == 0 {
					milestone <- n
				}
			}
		})
	}
	killed := make(chan int)
	go func() {
		kills := 0
		for n := range milestone {
			if n == 3000 || n == 7000 {
				r.Kill()
				var err error
				if r, err = servers.StartRedis(t.Context(), dir); err != nil {
					t.Error(err)
					break
				}
				continue
			}
			if n == events {
				break
			}
			victim := nodes[(n/1000)%2]
			victim.kill()
			victim.start()
			kills++
		}
		killed <- kills
	}()
	for i := range events {
		next <- i
	}
	close(next)
	wg.Wait()
	kills := receive(t, killed)

	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(got["/one"]) == events && len(got["/two"]) == events
	}, time.Minute, 20*time.Millisecond, "every event is delivered to every subscriber")
	mu.Lock()
	defer mu.Unlock()
	duplicates := 0
	for _, ids := range got {
		for _, n := range ids {
			duplicates += n - 1
		}
	}
	t.Logf("%d events to 2 subscribers, %d nodes and 2 times Redis killed: %d duplicates", events, kills, duplicates)
	// A crash may leave behind only what was between its delivery and the
	// acknowledgement: what is in flight, and what the acker had not written.
	require.Less(t, duplicates, (kills+2*2)*2*(64+64+256))
}

func post(addr string, i int) bool {
	req, err := http.NewRequest(http.MethodPost, "http://"+addr+"/test/crash", strings.NewReader("data"))
	if err != nil {
		return false
	}
	for k, v := range map[string]string{"Specversion": "1.0", "Id": fmt.Sprint(i), "Source": "/crash", "Type": "t"} {
		req.Header.Set("Ce-"+k, v)
	}
	resp, err := crashClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusAccepted
}

var crashClient = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 32}}

// While Redis is gone there is no 202 and the answer comes soon; with it back,
// service returns by itself, and what was stored is delivered.
func TestRedisRestart(t *testing.T) {
	t.Parallel()
	r, dir := durableRedis(t)
	b := setup(t, r.URL)
	s := subscribe(t, nil)
	tr := b.trigger("t", s)
	n := b.start(tr)
	require.NoError(t, n.srv.Check(t.Context()), "what servers starts is durable")
	n.publish(http.StatusAccepted, "1")
	require.Equal(t, "1", s.next(t).id())

	r.Kill()
	start := time.Now()
	resp := n.post("2")
	require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	require.NotEmpty(t, resp.Header.Get("Retry-After"))
	require.Less(t, time.Since(start), 4*time.Second)
	require.Error(t, n.srv.Ready(t.Context()))

	r, err := servers.StartRedis(t.Context(), dir)
	require.NoError(t, err)
	defer r.Stop()
	eventually(t, "service returns", func() bool { return n.post("2").StatusCode == http.StatusAccepted })
	for id := ""; id != "2"; { // the first may come twice: its acknowledgement was on the way
		id = s.next(t).id()
	}
	b.settled("t")
}

// Out of memory: refused with 503, the backlog drains, service returns.
func TestRedisFull(t *testing.T) {
	t.Parallel()
	r, _ := durableRedis(t)
	defer r.Stop()
	b := setup(t, r.URL)
	b.cfg.Retention = 0
	gate, release := hold()
	defer release()
	s := subscribe(t, func(http.ResponseWriter, delivery) { <-gate })
	n := b.start(b.trigger("t", s))
	n.publish(http.StatusAccepted, "first")
	s.next(t)
	memory, err := b.rdb.Info(t.Context(), "memory").Result()
	require.NoError(t, err)
	var used int64
	_, err = fmt.Sscanf(memory[strings.Index(memory, "used_memory:"):], "used_memory:%d", &used)
	require.NoError(t, err)
	require.NoError(t, b.rdb.ConfigSet(t.Context(), "maxmemory", fmt.Sprint(used+4<<20)).Err())
	accepted, refused := 0, http.StatusAccepted
	for ; accepted < 10_000; accepted++ {
		if refused = n.post(fmt.Sprint(accepted), "Ce-Padding", strings.Repeat("x", 16<<10)).StatusCode; refused != http.StatusAccepted {
			break
		}
	}
	require.Equal(t, http.StatusServiceUnavailable, refused)
	release()
	for range accepted {
		s.next(t)
	}
	b.settled("t")
	eventually(t, "service returns", func() bool { return n.post("refused").StatusCode == http.StatusAccepted })
}

// Nothing stays behind that would spin: after FLUSHALL, registrations, groups
// and events are there again.
func TestFlushAll(t *testing.T) {
	t.Parallel()
	r, _ := durableRedis(t)
	defer r.Stop()
	b := setup(t, r.URL)
	one, two := subscribe(t, nil), subscribe(t, nil)
	n := b.start(b.trigger("one", one), b.trigger("two", two))
	n.publish(http.StatusAccepted, "1")
	one.next(t)
	two.next(t)
	require.NoError(t, b.rdb.FlushAll(t.Context()).Err())
	n.publish(http.StatusAccepted, "2")
	require.Equal(t, "2", one.next(t).id())
	require.Equal(t, "2", two.next(t).id())
	b.settled("one")
	b.settled("two")
	// Ten rounds of the janitor give a hot loop the time to show.
	calls, rounds, last := commands(t, b.rdb), 0, time.Now()
	eventually(t, "ten rounds", func() bool {
		if time.Since(last) >= n.cfg.JanitorInterval {
			last = time.Now()
			rounds++
		}
		return rounds == 10
	})
	require.Less(t, commands(t, b.rdb)-calls, int64(2000))
}

func commands(t *testing.T, rdb redis.UniversalClient) int64 {
	t.Helper()
	stats, err := rdb.Info(t.Context(), "stats").Result()
	require.NoError(t, err)
	var n int64
	_, err = fmt.Sscanf(stats[strings.Index(stats, "total_commands_processed:"):], "total_commands_processed:%d", &n)
	require.NoError(t, err)
	return n
}

func TestDurabilityIsChecked(t *testing.T) {
	t.Parallel()
	r, _ := durableRedis(t, "--appendfsync", "everysec")
	defer r.Stop()
	b := setup(t, r.URL)
	b.cfg.RequireDurable = true
	n := b.serve()
	err := n.srv.Check(t.Context())
	require.ErrorIs(t, err, ErrNotDurable)
	require.ErrorContains(t, err, `appendfsync is "everysec"`)
	require.NoError(t, b.rdb.ConfigSet(t.Context(), "appendfsync", "always").Err())
	require.NoError(t, n.srv.Check(t.Context()))

	b = setup(t, servertest.Miniredis(t))
	b.cfg.RequireDurable = true
	err = b.serve().srv.Check(t.Context())
	require.ErrorIs(t, err, ErrNotDurable)
	b.cfg.RequireDurable = false
	require.NoError(t, b.serve().srv.Check(t.Context()))
}
