package notify_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/once"
)

// memory is a guard in one process, without leases that end.
type memory struct {
	mu    sync.Mutex
	state map[string]once.Claim
	fail  error
}

func (m *memory) set(key string, to once.Claim) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.state[key] = to
	return nil
}

func (m *memory) ClaimNoted(_ context.Context, key string, _ time.Duration) (once.Claim, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return once.Held, "", m.fail
	}
	if c, ok := m.state[key]; ok {
		return c, "", nil
	}
	m.state[key] = once.Held
	return once.Won, "", nil
}

func (m *memory) MarkDone(_ context.Context, key, _ string, _ time.Duration) error {
	return m.set(key, once.Done)
}

func (m *memory) Ping(context.Context) error { return m.fail }

func (m *memory) Release(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.state, key)
	return nil
}

// broker keeps what was sent to it.
type broker struct {
	mu     sync.Mutex
	events []cloudevents.Event
	err    error
}

func (b *broker) Send(_ context.Context, events ...cloudevents.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	b.events = append(b.events, events...)
	return nil
}

// left says of each note how many were still to be notified.
func (b *broker) left(t *testing.T) (n []int) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		d, err := event.Data[event.Notified](e)
		require.NoError(t, err)
		n = append(n, d.Left)
	}
	return n
}

func (b *broker) channels(t *testing.T) (names []string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		var d struct{ Channel string }
		require.NoError(t, e.DataAs(&d))
		names = append(names, d.Channel)
	}
	return names
}

// slackSink is an incoming webhook.
type slackSink struct {
	mu     sync.Mutex
	bodies [][]byte
	status int
	header http.Header
	url    string
	asked  int
	// dies says that a request is read and its connection closed without an answer.
	dies bool
	// hangs says that the answer comes when the client has given up.
	hangs bool
}

func newSlackSink(t *testing.T) *slackSink {
	t.Helper()
	s := &slackSink{status: http.StatusOK, header: http.Header{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL + "/services/T000/B000/secret-token"
	return s
}

func (s *slackSink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.asked++
	if s.hangs {
		s.bodies = append(s.bodies, body)
		s.mu.Unlock()
		<-r.Context().Done()
		return
	}
	defer s.mu.Unlock()
	if s.dies {
		panic(http.ErrAbortHandler)
	}
	for name := range s.header {
		w.Header().Set(name, s.header.Get(name))
	}
	w.WriteHeader(s.status)
	if s.status == http.StatusOK {
		s.bodies = append(s.bodies, body)
		_, _ = io.WriteString(w, "ok")
	}
}

func (s *slackSink) answer(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

func (s *slackSink) requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func (s *slackSink) become(change func(*slackSink)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *slackSink) got() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bodies
}

// letter is what the mail server took.
type letter struct {
	from string
	to   []string
	body []byte
	tls  bool
	user string
}

func (l letter) read(t *testing.T) *mail.Message {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(l.body))
	require.NoError(t, err)
	return m
}

// postOffice is a real SMTP server on a loopback port.
type postOffice struct {
	mu      sync.Mutex
	letters []letter
	refuse  error
	// drops says that a letter is kept and the connection cut without a reply.
	drops bool
	addr  string
	root  *tls.Config
}

// newPostOffice starts a server; secure offers STARTTLS, and asks for the user
// "robot" with the password "p@ss word".
func newPostOffice(t *testing.T, secure bool) *postOffice {
	t.Helper()
	p := &postOffice{}
	s := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &session{office: p, conn: c, secure: secure}, nil
	}))
	s.ErrorLog = quiet{}
	if secure {
		web := httptest.NewUnstartedServer(nil) // for its certificate
		web.StartTLS()
		s.TLSConfig = &tls.Config{Certificates: web.TLS.Certificates, MinVersion: tls.VersionTLS12}
		transport, ok := web.Client().Transport.(*http.Transport)
		require.True(t, ok)
		p.root = &tls.Config{RootCAs: transport.TLSClientConfig.RootCAs, ServerName: "example.com", MinVersion: tls.VersionTLS12}
		web.Close()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p.addr = l.Addr().String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	return p
}

func (p *postOffice) got() []letter {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.letters
}

func (p *postOffice) refuseWith(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = err
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

type session struct {
	office *postOffice
	conn   *smtp.Conn
	secure bool
	letter letter
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "robot" || password != "p@ss word" {
			return smtp.ErrAuthFailed
		}
		s.letter.user = user
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.secure && s.letter.user == "" {
		return smtp.ErrAuthRequired
	}
	s.letter.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.letter.to = append(s.letter.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	body, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.office.mu.Lock()
	defer s.office.mu.Unlock()
	if s.office.refuse != nil {
		return s.office.refuse
	}
	s.letter.body = body
	_, s.letter.tls = s.conn.TLSConnectionState()
	s.office.letters = append(s.office.letters, s.letter)
	if s.office.drops {
		_ = s.conn.Conn().Close()
	}
	return nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

var errAway = errors.New("away")

func jsonLog(to io.Writer) *slog.Logger { return slog.New(slog.NewJSONHandler(to, nil)) }

func base64Reader(r io.Reader) io.Reader { return base64.NewDecoder(base64.StdEncoding, r) }
