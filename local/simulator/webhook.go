package simulator

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/zixly/sweepline/shared/transport"
)

// webhookTimeout is how long the one attempt may take.
const webhookTimeout = 30 * time.Second

// newWebhookClient follows no redirect: the real service does not either.
func newWebhookClient() *http.Client {
	return &http.Client{Transport: transport.New(64, nil), Timeout: webhookTimeout, CheckRedirect: transport.NoRedirects}
}

// startWebhook delivers in the background, held back where the sweep's faults
// say so. The caller holds mu. A cancelled sweep has a webhook in the job-status
// dialect only: the event dialect has no word for it.
func (s *Simulator) startWebhook(j *sweep) {
	if j.req.WebhookURL == "" || s.closed || (j.status == cancelled && s.eventDialect(j)) {
		return
	}
	s.webhooks++
	due, stop := s.clock.Timer(j.faults.late)
	s.tasks.Go(func() {
		defer stop()
		select {
		case <-due:
		case <-s.ctx.Done():
		}
		s.deliver(j)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.webhooks--
		s.signal()
	})
}

// deliver makes the one attempt at the webhook; faults drop or double it.
func (s *Simulator) deliver(j *sweep) {
	if j.req.WebhookURL == "" || s.ctx.Err() != nil {
		return
	}
	if j.faults.loseCallback {
		s.count(func(st *Stats) { st.CallbacksLost++ })
		return
	}
	s.attempt(j)
	if j.faults.duplicateCallback {
		s.attempt(j)
	}
}

func (s *Simulator) attempt(j *sweep) {
	err := s.post(j)
	s.count(func(st *Stats) {
		st.CallbacksSent++
		if err != nil {
			st.CallbacksRefused++
		}
	})
	if err != nil {
		s.log.WarnContext(s.ctx, "webhook delivery failed", "trading_job_id", j.id, "error", err)
	}
}

func (s *Simulator) post(j *sweep) error {
	body, err := json.Marshal(s.webhookBody(j))
	if err != nil {
		return fmt.Errorf("encode webhook: %w", err)
	}
	ctx, cancel := context.WithTimeout(s.ctx, webhookTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, j.req.WebhookURL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("build webhook: %w", withoutURL(err))
	}
	for name, value := range j.req.WebhookHeaders {
		req.Header.Set(name, value)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "TradingAPI-Webhook/1.0")
	req.Header.Set("X-Job-ID", j.id)
	resp, err := s.client.Do(req)
	if err != nil {
		return fmt.Errorf("post webhook: %w", withoutURL(err))
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody)) // so that the connection can be used again
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("post webhook: answered %d", resp.StatusCode)
	}
	return nil
}

// webhookEvent is the body with event_type.
type webhookEvent struct {
	EventType string      `json:"event_type"`
	JobID     string      `json:"job_id"`
	RunID     string      `json:"sweep_run_id,omitempty"`
	Status    string      `json:"status"`
	Ticker    string      `json:"ticker"`
	Error     string      `json:"error_message,omitempty"`
	Data      *resultData `json:"result_data,omitempty"`
	Timestamp string      `json:"timestamp"`
}

// webhookStatus is the job-status body.
type webhookStatus struct {
	jobAnswer
	SentAt string `json:"webhook_sent_at"`
}

func (s *Simulator) webhookBody(j *sweep) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	if s.eventDialect(j) {
		e := webhookEvent{
			EventType: "sweep." + j.status, JobID: j.id, Status: j.status, Ticker: j.req.Ticker,
			Error: j.message, Data: j.resultData(), Timestamp: stamp(now, j.req.Form),
		}
		if j.status == completed {
			e.RunID = j.runID
		}
		return e
	}
	return webhookStatus{jobAnswer: s.answer(j), SentAt: stamp(now, j.req.Form)}
}

func (s *Simulator) eventDialect(j *sweep) bool {
	switch s.cfg.WebhookDialect {
	case WebhookEvent:
		return true
	case WebhookStatus:
		return false
	}
	return !j.req.Form
}

func (s *Simulator) count(add func(*Stats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	add(&s.stats)
	s.signal()
}
