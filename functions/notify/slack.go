package notify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/slack-go/slack"

	"github.com/zixly/sweepline/shared/serve"
)

// maxSlackAnswer bounds what is read of Slack's answer, which is "ok".
const maxSlackAnswer = 64 << 10

// slackChannel posts to an incoming webhook, whose URL is the secret.
type slackChannel struct {
	url    string
	client *http.Client
}

func newSlack(cfg Config) (*slackChannel, error) {
	if !absolute(cfg.SlackWebhookURL) {
		return nil, errors.New("SLACK_WEBHOOK_URL is not an absolute http or https URL")
	}
	return &slackChannel{url: cfg.SlackWebhookURL, client: &http.Client{
		Timeout:       cfg.Timeout,
		Transport:     bounded{http.DefaultTransport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func (*slackChannel) name() string { return "slack" }

func (s *slackChannel) tell(ctx context.Context, m message) error {
	msg, err := slackMessage(m)
	if err != nil {
		return err
	}
	err = slack.PostWebhookCustomHTTPContext(ctx, s.url, s.client, msg)
	var where *url.Error
	var wait *slack.RateLimitedError
	switch {
	case errors.As(err, &where):
		return fmt.Errorf("post webhook: %w", where.Err) // its own text repeats the URL
	case errors.As(err, &wait):
		return &serve.Unavailable{RetryAfter: max(wait.RetryAfter, 1), Err: err}
	case err != nil:
		return fmt.Errorf("post webhook: %w", err)
	}
	return nil
}

// slackMessage is made of blocks. Texts from outside are plain text, which
// Slack does not parse: no links, no mentions.
func slackMessage(m message) (*slack.WebhookMessage, error) {
	plain := func(s string) *slack.TextBlockObject {
		return slack.NewTextBlockObject(slack.PlainTextType, s, false, false)
	}
	p := m.Job.Parameters
	fields := []*slack.TextBlockObject{
		plain(fmt.Sprintf("Fast %d to %d\nSlow %d to %d", p.FastRange[0], p.FastRange[1], p.SlowRange[0], p.SlowRange[1])),
		plain("Took " + span(m.Job.DurationSeconds)),
	}
	if x := m.Job.Metrics; m.Completed && x != nil {
		fields = append(fields, plain(fmt.Sprintf("%d combinations", x.Combinations)), plain("Best score "+figure(x.BestScore)))
	}
	blocks := []slack.Block{slack.NewHeaderBlock(plain(m.Subject())), slack.NewSectionBlock(nil, fields, nil)}
	if m.Error != "" {
		blocks = append(blocks, slack.NewSectionBlock(plain(m.Error), nil, nil))
	}
	if len(m.Best) > 0 {
		table, err := m.render("best.txt")
		if err != nil {
			return nil, err
		}
		// Figures alone: nothing in it needs escaping.
		blocks = append(blocks, slack.NewSectionBlock(slack.NewTextBlockObject(slack.MarkdownType, "```\n"+table+"```", false, true), nil, nil))
	}
	open := slack.NewButtonBlockElement("open-job", m.Job.JobID, plain("Open the job"))
	open.URL = m.Link
	blocks = append(blocks, slack.NewActionBlock("job", open))
	// Text is what phones and screen readers show.
	return &slack.WebhookMessage{Text: m.Subject() + " " + m.Link, Blocks: &slack.Blocks{BlockSet: blocks}}, nil
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
