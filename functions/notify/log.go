package notify

import (
	"context"
	"log/slog"
)

// logLine is the channel of an installation that has no other.
type logLine struct{ log *slog.Logger }

func (logLine) name() string { return "log" }

func (l logLine) tell(ctx context.Context, m message) error {
	attrs := []slog.Attr{
		slog.String("job_id", m.Job.JobID), slog.String("tenant_id", m.Job.TenantID), slog.String("text", m.Subject()), slog.String("link", m.Link),
	}
	if x := m.Job.Metrics; x != nil {
		attrs = append(attrs, slog.Int("combinations", x.Combinations), slog.Float64("best_score", x.BestScore))
	}
	l.log.LogAttrs(ctx, slog.LevelInfo, "Notification", attrs...)
	return nil
}
