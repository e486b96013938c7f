package notify

import (
	"context"
	"log/slog"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/mailbox"
)

// Mailbox keeps what would have been sent, where nothing can be.
type Mailbox interface {
	Put(m mailbox.Message)
}

// logLine is the channel of an installation that has no other. With a mailbox
// it also leaves there what Slack and mail would have shown.
type logLine struct {
	log       *slog.Logger
	box       Mailbox // may be nil
	templates *templates
	// described is a job's picture for a message, drawn the one to show; nil where there is none.
	described, drawn func(ctx context.Context, j job.Job) *Picture
}

func (logLine) name() string { return "log" }

// pictured: a message in the mailbox has its picture drawn when somebody looks at it.
func (logLine) pictured() bool { return false }

func (l logLine) send(ctx context.Context, m message) error {
	if l.box != nil {
		if err := l.keep(ctx, m); err != nil {
			return err
		}
	}
	attrs := []slog.Attr{
		slog.String("job_id", m.Job.JobID), slog.String("tenant_id", m.Job.TenantID), slog.String("text", m.Subject()), slog.String("link", m.Link),
	}
	if x := m.Job.Metrics; x != nil {
		attrs = append(attrs, slog.Int("combinations", x.Combinations), slog.Float64("best_score", x.BestScore))
	}
	l.log.LogAttrs(ctx, slog.LevelInfo, "Notification", attrs...) //nolint:sloglint // operators look for it
	return nil
}

func (l logLine) keep(ctx context.Context, m message) error {
	m.Picture = l.described(ctx, m.Job)
	kept, err := with(ctx, l.templates, m, func(s set, m message) (k mailbox.Message, err error) {
		k.Text, k.HTML, err = s.mail(m)
		return k, err
	})
	if err != nil {
		return err
	}
	body, err := with(ctx, l.templates, m, set.slackBody)
	if err != nil {
		return err
	}
	kept.JobID, kept.TenantID, kept.Completed, kept.Subject, kept.Slack = m.Job.JobID, m.Job.TenantID, m.Completed, m.Subject(), []byte(body)
	if m.Job.CompletedAt != nil {
		kept.At = *m.Job.CompletedAt
	}
	if m.Picture != nil {
		kept.PictureSrc = string(m.Picture.Src)
		kept.Picture = func(ctx context.Context) []byte {
			if p := l.drawn(ctx, m.Job); p != nil {
				return p.file
			}
			return nil
		}
	}
	l.box.Put(kept)
	return nil
}
