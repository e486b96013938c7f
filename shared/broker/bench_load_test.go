package broker

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// load is a generator in a process of its own, so that what is measured is the
// broker's share of the CPU, and as cheap as one can be: requests are written as
// bytes, and of answers the status line is looked at.
type load struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startLoad(b *testing.B, n *benchNode, events, connections, size int) *load {
	b.Helper()
	host, path, ok := strings.Cut(strings.TrimPrefix(n.url, "http://"), "/")
	require.True(b, ok)
	l := &load{}
	l.cmd = exec.Command(os.Args[0], "-test.run", "^TestLoadProcess$", "-test.timeout", "10m", "--",
		host, "/"+path, strconv.Itoa(events), strconv.Itoa(connections), strconv.Itoa(size))
	l.cmd.Stderr = os.Stderr
	var err error
	l.in, err = l.cmd.StdinPipe()
	require.NoError(b, err)
	out, err := l.cmd.StdoutPipe()
	require.NoError(b, err)
	l.out = bufio.NewReader(out)
	require.NoError(b, l.cmd.Start())
	l.await(b, "CONNECTED")
	return l
}

func (l *load) await(b *testing.B, word string) {
	b.Helper()
	line, err := l.out.ReadString('\n')
	require.NoError(b, err)
	require.Equal(b, word+"\n", line)
}

// run returns when all events have been answered with 202.
func (l *load) run(b *testing.B) {
	b.Helper()
	_, err := l.in.Write([]byte("\n"))
	require.NoError(b, err)
	l.await(b, "DONE")
}

// stop ends the process and gives the CPU time it took.
func (l *load) stop(b *testing.B) time.Duration {
	b.Helper()
	require.NoError(b, l.in.Close())
	_, _ = io.Copy(io.Discard, l.out) // what the test framework says
	require.NoError(b, l.cmd.Wait())
	return l.cmd.ProcessState.UserTime() + l.cmd.ProcessState.SystemTime()
}

// TestLoadProcess is not a test: benchmarks run it as their load generator.
func TestLoadProcess(t *testing.T) {
	if flag.NArg() != 5 {
		t.Skip("run by benchmarks")
	}
	number := func(i int) int {
		n, err := strconv.Atoi(flag.Arg(i))
		require.NoError(t, err)
		return n
	}
	address, path, events, connections, size := flag.Arg(0), flag.Arg(1), number(2), number(3), number(4)
	conns := make([]net.Conn, connections)
	for i := range conns {
		var err error
		conns[i], err = (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		require.NoError(t, err)
	}
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nContent-Type: text/plain\r\nCe-Specversion: 1.0\r\n"+
		"Ce-Source: /bench\r\nCe-Type: com.example.bench\r\nCe-Time: 2026-01-01T00:00:00Z\r\nCe-Id: ", path, address, size)
	data := "\r\n\r\n" + strings.Repeat("x", size)
	_, err := fmt.Fprintln(os.Stdout, "CONNECTED")
	require.NoError(t, err)
	in := bufio.NewReader(os.Stdin)
	_, err = in.ReadString('\n')
	require.NoError(t, err)
	var next atomic.Int64
	var wg sync.WaitGroup
	for _, c := range conns {
		wg.Go(func() {
			answers := bufio.NewReader(c)
			var request []byte
			for {
				i := next.Add(1)
				if i > int64(events) {
					return
				}
				request = append(strconv.AppendInt(append(request[:0], head...), i, 10), data...)
				if _, err := c.Write(request); err != nil {
					t.Error(err)
					return
				}
				if !accepted(answers) {
					t.Error("an event was not answered with 202")
					return
				}
			}
		})
	}
	wg.Wait()
	_, err = fmt.Fprintln(os.Stdout, "DONE")
	require.NoError(t, err)
	_, _ = in.ReadString('\n') // until the other side has taken its time
}

// accepted reads an answer without a body.
func accepted(r *bufio.Reader) bool {
	status, err := r.ReadSlice('\n')
	if err != nil || !strings.HasPrefix(string(status), "HTTP/1.1 202") {
		return false
	}
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return false
		}
		if len(line) <= 2 {
			return true
		}
	}
}
