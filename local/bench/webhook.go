package bench

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
)

// webhookConns bounds the webhooks that wait for their answers at one time.
const webhookConns = 128

// WebhookResult is how a running sweepline answered webhooks.
type WebhookResult struct {
	// Requests were answered with 202, Rate a second.
	Requests int     `json:"requests"`
	Rate     float64 `json:"rate"`
	// Refused counts answers of 429 and 503; those were sent again.
	Refused int `json:"refused"`
	// Times are from when a request was due to its 202.
	P50     time.Duration `json:"p50_ns"`
	P95     time.Duration `json:"p95_ns"`
	P99     time.Duration `json:"p99_ns"`
	Longest time.Duration `json:"longest_ns"`
}

// Webhook sends sweeps to the sweepline at base (http or https), rate a second for a
// duration, each at its own time whatever the answers take. key, if any, is the tenant's.
// An answer other than 202, 429 and 503 is an error.
func Webhook(ctx context.Context, base, key string, rate float64, duration time.Duration) (*WebhookResult, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("parse address: %w", err)
	}
	secure := u.Scheme == "https"
	port := "80"
	if secure {
		port = "443"
	}
	address := net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port))
	var headers []string
	if key != "" {
		headers = append(headers, "Authorization: Bearer "+key)
	}
	request := post(u.Host, strings.TrimSuffix(u.Path, "/")+webhookPath, headers, []byte(sweepBody))
	a, err := openLoopOver(ctx, func() *conn { return &conn{address: address, tls: secure} },
		same(request), webhookConns, int(rate*duration.Seconds()), rate)
	if err != nil {
		return nil, err
	}
	d := sorted(a.accepted, func(s sent) time.Duration { return s.ended.Sub(s.due) })
	return &WebhookResult{
		Requests: len(d), Rate: a.rate(), Refused: a.refused,
		P50: percentile(d, 50), P95: percentile(d, 95), P99: percentile(d, 99), Longest: percentile(d, 100),
	}, nil
}
