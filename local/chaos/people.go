//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"
)

// The channels by which people are notified.
const (
	slack = "slack"
	email = "email"
)

var channels = []string{slack, email}

// message is one that reached people.
type message struct {
	At time.Time
	// Completed is false where the text says that the job failed.
	Completed bool
}

// people are a Slack-like receiver and an SMTP server that keep what they get.
type people struct {
	// slackStatus is what the receiver answers, 0 for 200. Slack and mail that
	// are answered with an error were not notified.
	slackStatus atomic.Int32
	// slackHangs lets posts wait for longer than anyone's patience.
	slackHangs atomic.Bool
	// mailRefused answers mail with a temporary error.
	mailRefused atomic.Bool

	mu       sync.Mutex
	notified map[string]map[string][]message // by job, by channel
	// stray counts messages that name no job.
	stray int
}

func newPeople() *people { return &people{notified: map[string]map[string][]message{}} }

var jobLink = regexp.MustCompile(`/jobs/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})`)

func (p *people) take(channel, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := jobLink.FindStringSubmatch(text)
	if found == nil {
		p.stray++
		return
	}
	if p.notified[found[1]] == nil {
		p.notified[found[1]] = map[string][]message{}
	}
	p.notified[found[1]][channel] = append(p.notified[found[1]][channel], message{time.Now(), !strings.Contains(strings.ToLower(text), "failed")})
}

// counts are the jobs notified by both channels and all messages.
func (p *people) counts() (jobs, messages int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, by := range p.notified {
		if len(by[slack]) > 0 && len(by[email]) > 0 {
			jobs++
		}
		messages += len(by[slack]) + len(by[email])
	}
	return jobs, messages
}

// heard are all messages by job and channel, and how many name no job.
func (p *people) heard() (notified map[string]map[string][]message, stray int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	notified = map[string]map[string][]message{}
	for job, by := range p.notified {
		notified[job] = map[string][]message{}
		for channel, m := range by {
			notified[job][channel] = slices.Clone(m)
		}
	}
	return notified, p.stray
}

// ServeHTTP is the Slack-like receiver.
func (p *people) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	switch {
	case err != nil:
		http.Error(w, "unreadable", http.StatusBadRequest)
	case p.slackHangs.Load():
		select {
		case <-r.Context().Done():
		case <-time.After(time.Minute):
		}
	case p.slackStatus.Load() != 0:
		w.Header().Set("Retry-After", "2")
		http.Error(w, "not now", int(p.slackStatus.Load()))
	default:
		p.take(slack, strings.ReplaceAll(string(text), `\/`, "/"))
		_, _ = io.WriteString(w, "ok")
	}
}

// serveMail is the SMTP server.
func (p *people) serveMail(addr string) (stop func(), err error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for mail: %w", err)
	}
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &mailSession{p}, nil }))
	s.Domain = "localhost"
	s.ErrorLog = quietLog{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	return func() { _ = s.Close(); <-done }, nil
}

type mailSession struct{ p *people }

func (s *mailSession) Mail(string, *smtp.MailOptions) error {
	if s.p.mailRefused.Load() {
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "not now"}
	}
	return nil
}
func (s *mailSession) Rcpt(string, *smtp.RcptOptions) error { return nil }

func (s *mailSession) Data(r io.Reader) error {
	raw, err := io.ReadAll(io.LimitReader(r, 8<<20))
	if err != nil {
		return errors.Join(errors.New("read mail"), err)
	}
	// Quoted-printable breaks long lines by "=".
	s.p.take(email, strings.NewReplacer("=\r\n", "", "=3D", "=").Replace(string(raw)))
	return nil
}
func (s *mailSession) Reset()        {}
func (s *mailSession) Logout() error { return nil }

type quietLog struct{}

func (quietLog) Printf(string, ...any) {}
func (quietLog) Println(...any)        {}
