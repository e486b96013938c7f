package notify

import (
	"bytes"
	"encoding/json"
	"log/slog"
	netmail "net/mail"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/shared/job"
)

// FuzzMessages: no text of the trading API gets out of its place, in Slack's message or
// in a mail.
func FuzzMessages(f *testing.F) {
	for _, seed := range []string{
		"no data", "a\r\nBcc: x@evil.example\r\n\r\n<script>alert(1)</script>", `"}},{"type":"x"`, "<!channel> <http://evil.example|click> `*b*` ```", "\x1b[2J\u202e\x00\xff", "{{.Job}}",
	} {
		f.Add(seed, seed, seed)
	}
	t, err := loadTemplates("", slog.New(slog.DiscardHandler))
	require.NoError(f, err)
	mails := &mailChannel{from: "sweepline@example.com", to: []string{"people@example.com"}, domain: "example.com", templates: t}
	f.Fuzz(func(tt *testing.T, reason, source, strategy string) {
		for _, state := range []job.State{job.Completed, job.Failed} {
			end := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			m := newMessage(job.Job{
				JobID: job.NewID(), Status: state, Ticker: "DAX", ErrorCode: job.SweepFailed, ErrorMessage: reason, CompletedAt: &end,
				Parameters: job.Sweep{Ticker: "DAX", StrategyType: job.SMA}, Metrics: &job.Metrics{Data: &job.Data{Source: source}},
				Results: []job.Row{{Ticker: "DAX", StrategyType: strategy, ResultID: reason}},
			}, "http://localhost:8080")
			body, err := t.own.slack(m)
			require.NoError(tt, err)
			var shape struct {
				Text   string
				Blocks []struct {
					Type   string
					Text   struct{ Type, Text string }
					Fields []struct{ Type, Text string }
				}
			}
			require.NoError(tt, json.Unmarshal(body, &shape))
			for _, b := range shape.Blocks {
				require.Contains(tt, []string{"header", "section", "actions"}, b.Type)
				for _, text := range append(b.Fields, b.Text) {
					if text.Type == "mrkdwn" {
						require.NotContains(tt, text.Text, "<")
						require.Equal(tt, 2, strings.Count(text.Text, "```"))
					}
				}
			}
			require.NotContains(tt, shape.Text, "<")

			msg, err := mails.compose(tt.Context(), m)
			require.NoError(tt, err)
			var out bytes.Buffer
			_, err = msg.WriteTo(&out)
			require.NoError(tt, err)
			read, err := netmail.ReadMessage(&out)
			require.NoError(tt, err)
			require.Empty(tt, read.Header["Bcc"])
			require.Len(tt, read.Header["Subject"], 1)
			to, err := read.Header.AddressList("To")
			require.NoError(tt, err)
			require.Len(tt, to, 1)
			_, rich, err := t.own.mail(m)
			require.NoError(tt, err)
			plain, err := t.own.render(mailHTML, newMessage(job.Job{
				JobID: m.Job.JobID, Status: state, Ticker: "DAX", ErrorCode: job.SweepFailed, ErrorMessage: "x", CompletedAt: &end,
				Parameters: job.Sweep{Ticker: "DAX", StrategyType: job.SMA}, Metrics: &job.Metrics{Data: &job.Data{Source: "x"}},
				Results: []job.Row{{Ticker: "DAX", StrategyType: "x", ResultID: "x"}},
			}, "http://localhost:8080"))
			require.NoError(tt, err)
			require.LessOrEqual(tt, strings.Count(rich, "<"), strings.Count(plain, "<"), "as many tags as with plain texts")
		}
	})
}
