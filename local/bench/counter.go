package bench

import (
	"context"
	"crypto/sha1" //nolint:gosec // as Redis names scripts
	"encoding/hex"
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
	commands map[string]float64 // but scripts
	scripts  map[string]float64 // by digest
	texts    map[string]string  // of scripts, by digest
	trips    float64
	conns    map[net.Conn]bool
	closed   bool
}

func startCounter(ctx context.Context, target string) (*counter, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start redis proxy: %w", err)
	}
	p := &counter{address: l.Addr().String(), l: l, target: target, commands: map[string]float64{}, scripts: map[string]float64{}, texts: map[string]string{}, conns: map[net.Conn]bool{}}
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
			found, ok := r.feed(buf[:n])
			p.note(found, trip, ok) // before Redis can answer
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

func (p *counter) note(found []request, trip, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if trip {
		p.trips++
	}
	for _, c := range found {
		switch {
		case !scripted(c.name):
			p.commands[c.name]++
			continue
		case !strings.HasSuffix(c.name, "sha"):
			sum := sha1.Sum([]byte(c.arg)) //nolint:gosec // as Redis names scripts
			p.texts[hex.EncodeToString(sum[:])] = c.arg
			c.arg = hex.EncodeToString(sum[:])
		}
		p.scripts[c.arg]++
	}
	if !ok {
		p.commands["?"]++
	}
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

// counts copies the counters: calls of each command under its name and of each script
// under its file's, all of them under "all", scripts under "scripts", and "trips".
func (p *counter) counts() map[string]float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := maps.Clone(p.commands)
	for _, calls := range p.commands {
		n["all"] += calls
	}
	files := luaFiles("shared", "../../shared") // from the root, and from a test
	for digest, calls := range p.scripts {
		n[titleOf(digest, p.texts[digest], files)] += calls
		n["scripts"] += calls
		n["all"] += calls
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

// request is a command that a client has sent.
type request struct {
	name string // in lower case
	arg  string // its first argument, of scripts
}

// resp follows a client's side of the protocol: arrays of bulk strings. It is
// fed as bytes come.
type resp struct {
	line []byte // what there is of a header line
	args int    // still to come of the command
	at   int    // which of them is next: 0 is the command's name
	want int    // bytes still to come of one that is kept
	kept []byte
	skip int // bytes still to come of what is not, line's ends with it
	cmd  request
	lost bool
}

// feed returns the commands that were complete enough to be counted in b; ok is
// false once the stream could not be followed.
func (r *resp) feed(b []byte) (found []request, ok bool) {
	for len(b) > 0 && !r.lost {
		switch {
		case r.want > 0:
			n := min(r.want, len(b))
			r.kept, r.want, b = append(r.kept, b[:n]...), r.want-n, b[n:]
			if r.want == 0 {
				r.skip = 2
				if r.take() {
					found = append(found, r.cmd)
				}
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
	return found, !r.lost
}

// header takes a whole line, *N or $N.
func (r *resp) header() {
	line := strings.TrimSuffix(string(r.line), "\r")
	r.line = r.line[:0]
	var n int
	if _, err := fmt.Sscanf(line, "*%d", &n); err == nil && r.args == 0 {
		r.args, r.at = n, 0
		return
	}
	if _, err := fmt.Sscanf(line, "$%d", &n); err != nil || r.args == 0 || n < 0 {
		r.lost = true
		return
	}
	r.args--
	r.kept = r.kept[:0]
	if n > 0 && (r.at == 0 || r.at == 1 && scripted(r.cmd.name)) {
		r.want = n
	} else {
		r.skip = n + 2
	}
	r.at++
}

// take ends an argument that was kept, and reports whether the command can be
// counted.
func (r *resp) take() bool {
	if r.at == 1 {
		r.cmd = request{name: strings.ToLower(string(r.kept))}
		return r.args == 0 || !scripted(r.cmd.name)
	}
	r.cmd.arg = string(r.kept)
	return true
}

// scripted reports whether a command's first argument is a script or names one.
func scripted(command string) bool {
	return strings.HasPrefix(command, "eval") || strings.HasPrefix(command, "fcall")
}
