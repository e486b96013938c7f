package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/slack-go/slack"

	"github.com/zixly/sweepline/shared/transport"
)

// maxSlackAnswer bounds what is read of Slack's answer, which is "ok".
const maxSlackAnswer = 64 << 10

// idleConns are kept for one host: a burst of messages must not dial for nearly each.
const idleConns = 256

// slackChannel posts to an incoming webhook, whose URL is the secret.
type slackChannel struct {
	url       string
	client    *http.Client
	templates *templates
	// mutedUntil is until when Slack asked this process to send nothing. It takes one
	// message a second: of a burst all would come again at once.
	mutedUntil atomic.Pointer[time.Time]
}

// longestMute bounds what an answer of Slack's can make us wait.
const longestMute = 5 * time.Minute

func newSlack(cfg Config, t *templates) (*slackChannel, error) {
	if _, err := transport.ParseURL(cfg.SlackWebhookURL); err != nil {
		return nil, fmt.Errorf("SLACK_WEBHOOK_URL %w", err)
	}
	return &slackChannel{url: cfg.SlackWebhookURL, templates: t, client: &http.Client{
		Timeout:       cfg.Timeout,
		Transport:     bounded{transport.Proxied(idleConns, nil)},
		CheckRedirect: transport.NoRedirects,
	}}, nil
}

func (*slackChannel) name() string { return "slack" }

// pictured: a webhook takes no files, and Slack could not fetch one of ours.
func (*slackChannel) pictured() bool { return false }

func (s *slackChannel) send(ctx context.Context, m message) error {
	body, err := with(ctx, s.templates, m, set.slack)
	if err != nil {
		return err
	}
	if until := s.mutedUntil.Load(); until != nil && time.Until(*until) > 0 {
		return unavailable(errors.New("slack rate limit exceeded"), time.Until(*until))
	}
	var written atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(i httptrace.WroteRequestInfo) { written.Store(i.Err == nil) }})
	return s.classify(s.post(ctx, body), &written)
}

// post sends the template's own bytes: what it says is sent, also what the
// library's message type has no field for, such as metadata.
func (s *slackChannel) post(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body) // so that the connection can be used again
	if resp.StatusCode == http.StatusTooManyRequests {
		if resp.Header.Get("Retry-After") != "" {
			return &slack.RateLimitedError{RetryAfter: min(transport.RetryAfter(resp.Header, time.Now()), longestMute)}
		}
	}
	if resp.StatusCode != http.StatusOK {
		return slack.StatusCodeError{Code: resp.StatusCode, Status: resp.Status}
	}
	return nil
}

// classify turns the outcome of a request into an error of send. A status other than
// 200 means that Slack has not accepted the message.
func (s *slackChannel) classify(err error, written *atomic.Bool) error {
	var where *url.Error
	var limited *slack.RateLimitedError
	var status slack.StatusCodeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &where):
		err = fmt.Errorf("post webhook: %w", where.Err) // its own text repeats the URL
		if written.Load() {
			return &uncertain{err}
		}
		return unavailable(err, pause)
	case errors.As(err, &limited):
		until := time.Now().Add(limited.RetryAfter)
		s.mutedUntil.Store(&until)
		return unavailable(err, limited.RetryAfter)
	case errors.As(err, &status) && retriable(status.Code):
		return unavailable(fmt.Errorf("post webhook: %w", err), pause)
	}
	return fmt.Errorf("post webhook: %w", err)
}

// retriable reports whether a status asks for a retry.
func retriable(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= http.StatusInternalServerError
}

// What Slack takes at most of a message.
const (
	mostBlocks  = 50
	largestText = 40_000
)

// slack is the webhook's body. A template of the operator's is read as Slack's
// own message besides: Slack would refuse what is refused here, but only once a
// job has ended.
func (s set) slack(m message) ([]byte, error) {
	body, err := s.slackBody(m)
	if err != nil {
		return nil, err
	}
	if s.replaced {
		var msg slack.WebhookMessage
		if err := json.Unmarshal([]byte(body), &msg); err != nil {
			return nil, fmt.Errorf("read %s: %w", slackJSON, err)
		}
	}
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(body)); err != nil {
		return nil, fmt.Errorf("read %s: %w", slackJSON, err)
	}
	return b.Bytes(), nil
}

// slackBody is the webhook's body: one JSON object that says something. Texts
// from outside stand in it as plain_text, which Slack does not parse: no links,
// no mentions.
func (s set) slackBody(m message) (string, error) {
	body, err := s.render(slackJSON, m)
	if err != nil {
		return "", err
	}
	if !s.replaced { // the built-in one is checked by tests
		return body, nil
	}
	var shape struct {
		Text   string
		Blocks []struct{ Type string }
	}
	if err := json.Unmarshal([]byte(body), &shape); err != nil {
		return "", fmt.Errorf("%s:%d: rendered invalid JSON (texts must use the json function, as in {{json .Subject}}): %w", slackJSON, lineOf(body, err), err)
	}
	if shape.Text == "" || len(shape.Text) > largestText || len(shape.Blocks) > mostBlocks {
		return "", fmt.Errorf("%s: message must have text of at most %d bytes and at most %d blocks", slackJSON, largestText, mostBlocks)
	}
	for i, b := range shape.Blocks {
		if b.Type == "" {
			return "", fmt.Errorf("%s: block %d has no type", slackJSON, i+1)
		}
	}
	return body, nil
}

// lineOf is the line of what was made at which JSON ends to be JSON. With no
// loops in the template it is the template's as well.
func lineOf(body string, err error) int {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	at := 0
	switch {
	case errors.As(err, &syntax):
		at = int(syntax.Offset)
	case errors.As(err, &kind):
		at = int(kind.Offset)
	}
	return 1 + strings.Count(body[:min(at, len(body))], "\n")
}

// bounded cuts answers off: the client reads them to the end.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, maxSlackAnswer), resp.Body}
	return resp, nil
}
