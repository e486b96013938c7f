package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// answerLimit is how long one answer may take.
const answerLimit = 30 * time.Second

// conn is one HTTP/1.1 connection that sends requests made beforehand: load
// should cost little beside what it measures. It is for one goroutine.
type conn struct {
	address string
	tls     bool
	c       net.Conn
	r       *bufio.Reader
	body    bytes.Buffer
}

// send writes a request and reads its answer; the body is good until the next
// send. After an error the connection is opened anew.
func (c *conn) send(ctx context.Context, request []byte) (status int, header http.Header, body []byte, err error) {
	if c.c == nil {
		if c.c, err = c.dial(ctx); err != nil {
			return 0, nil, nil, fmt.Errorf("dial %s: %w", c.address, err)
		}
		c.r = bufio.NewReaderSize(c.c, 8<<10)
	}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if err = c.c.SetDeadline(time.Now().Add(answerLimit)); err != nil {
		return 0, nil, nil, fmt.Errorf("set deadline: %w", err)
	}
	if _, err = c.c.Write(request); err != nil {
		return 0, nil, nil, fmt.Errorf("send request: %w", err)
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return 0, nil, nil, fmt.Errorf("read answer: %w", err)
	}
	defer resp.Body.Close()
	c.body.Reset()
	if _, err = io.Copy(&c.body, resp.Body); err != nil {
		return 0, nil, nil, fmt.Errorf("read answer: %w", err)
	}
	if resp.Close {
		c.close()
	}
	return resp.StatusCode, resp.Header, c.body.Bytes(), nil
}

func (c *conn) dial(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: answerLimit}
	if c.tls {
		return (&tls.Dialer{NetDialer: &d}).DialContext(ctx, "tcp", c.address)
	}
	return d.DialContext(ctx, "tcp", c.address)
}

func (c *conn) close() {
	if c.c != nil {
		_ = c.c.Close()
		c.c = nil
	}
}

// pool is any number of connections to one address.
type pool struct {
	address string
	idle    chan *conn
}

func newPool(address string, most int) *pool {
	p := &pool{address: address, idle: make(chan *conn, most)}
	for range most {
		p.idle <- &conn{address: address}
	}
	return p
}

// send borrows a connection; the answer's body is dropped.
func (p *pool) send(ctx context.Context, request []byte) (int, error) {
	c := <-p.idle
	defer func() { p.idle <- c }()
	status, _, _, err := c.send(ctx, request)
	return status, err
}

func (p *pool) close() {
	for range cap(p.idle) {
		(<-p.idle).close()
	}
}

// post makes a request's bytes. headers are whole lines.
func post(host, path string, headers []string, body []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n", path, host, len(body))
	for _, h := range headers {
		b.WriteString(h)
		b.WriteString("\r\n")
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// field is the text after name and a colon in JSON that was written without
// needless spaces or with one: enough for ids, which hold no escapes.
func field(body []byte, name string) string {
	_, after, found := bytes.Cut(body, []byte(`"`+name+`":`))
	if !found {
		return ""
	}
	after = bytes.TrimLeft(after, " ")
	if len(after) == 0 || after[0] != '"' {
		return ""
	}
	value, _, _ := bytes.Cut(after[1:], []byte(`"`))
	return string(value)
}
