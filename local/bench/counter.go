package bench

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"strings"
	"sync"
	"sync/atomic"
)

// counter is a proxy before Redis that counts what its clients send: commands by
// name, and round trips. Redis itself counts commands of scripts with the
// others.
type counter struct {
	address string
	l       net.Listener
	target  string
	done    sync.WaitGroup

	mu       sync.Mutex
	commands map[string]float64
	trips    float64
	conns    map[net.Conn]bool
	closed   bool
}

func startCounter(ctx context.Context, target string) (*counter, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start redis proxy: %w", err)
	}
	p := &counter{address: l.Addr().String(), l: l, target: target, commands: map[string]float64{}, conns: map[net.Conn]bool{}}
	p.done.Go(p.accept)
	return p, nil
}

func (p *counter) accept() {
	for {
		client, err := p.l.Accept()
		if err != nil {
			return
		}
		p.done.Go(func() { p.serve(client) })
	}
}

func (p *counter) serve(client net.Conn) {
	defer client.Close()
	server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	if !p.hold(client, server) {
		return
	}
	defer p.release(client, server)
	var asked atomic.Bool // since the last answer
	var back sync.WaitGroup
	back.Go(func() {
		defer client.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := server.Read(buf)
			asked.Store(false)
			if n > 0 {
				if _, err := client.Write(buf[:n]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	})
	var r resp
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if n > 0 {
			trip := !asked.Swap(true)
			names, ok := r.feed(buf[:n])
			p.mu.Lock() // before Redis can answer
			if trip {
				p.trips++
			}
			for _, name := range names {
				p.commands[name]++
			}
			if !ok {
				p.commands["?"]++
			}
			p.mu.Unlock()
			if _, err := server.Write(buf[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	if err := server.(*net.TCPConn).CloseWrite(); err != nil && err != io.EOF { //nolint:errorlint // either way the end
		_ = server.Close()
	}
	back.Wait()
}

func (p *counter) hold(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		p.conns[c] = true
	}
	return !p.closed
}

func (p *counter) release(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		delete(p.conns, c)
	}
}

// counts copies the counters: calls of each command under its name, all of them
// under "all", scripts under "scripts", and "trips".
func (p *counter) counts() map[string]float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := maps.Clone(p.commands)
	for name, calls := range p.commands {
		n["all"] += calls
		if strings.HasPrefix(name, "eval") || strings.HasPrefix(name, "fcall") {
			n["scripts"] += calls
		}
	}
	n["trips"] = p.trips
	return n
}

func (p *counter) close() {
	_ = p.l.Close()
	p.mu.Lock()
	p.closed = true
	for c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.done.Wait()
}

// resp follows a client's side of the protocol: arrays of bulk strings. It is
// fed as bytes come.
type resp struct {
	line  []byte // what there is of a header line
	args  int    // still to come of the command
	skip  int    // bytes of an argument and its line's end still to come
	first bool   // the next argument is the command's name
	name  []byte
	want  int // bytes of name still to come
	lost  bool
}

// feed returns the names of the commands that began in b, in lower case; ok is
// false once the stream could not be followed.
func (r *resp) feed(b []byte) (names []string, ok bool) {
	for len(b) > 0 && !r.lost {
		switch {
		case r.want > 0:
			n := min(r.want, len(b))
			r.name, r.want, b = append(r.name, b[:n]...), r.want-n, b[n:]
			if r.want == 0 {
				names = append(names, strings.ToLower(string(r.name)))
				r.name, r.skip = r.name[:0], 2
			}
		case r.skip > 0:
			n := min(r.skip, len(b))
			r.skip, b = r.skip-n, b[n:]
		default:
			c := b[0]
			b = b[1:]
			if c != '\n' {
				r.line = append(r.line, c)
				r.lost = len(r.line) > 32
				continue
			}
			r.header()
		}
	}
	return names, !r.lost
}

// header takes a whole line, *N or $N.
func (r *resp) header() {
	line := strings.TrimSuffix(string(r.line), "\r")
	r.line = r.line[:0]
	var n int
	if _, err := fmt.Sscanf(line, "*%d", &n); err == nil && r.args == 0 {
		r.args, r.first = n, true
		return
	}
	if _, err := fmt.Sscanf(line, "$%d", &n); err != nil || r.args == 0 || n < 0 {
		r.lost = true
		return
	}
	r.args--
	if r.first {
		r.first, r.want = false, n
		return
	}
	r.skip = n + 2
}
