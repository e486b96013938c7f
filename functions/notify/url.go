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
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/notifyurl"
	"github.com/zixly/sweepline/shared/once"
	"github.com/zixly/sweepline/shared/transport"
)

const (
	// urlPatience is how long a receiver that fails is called again. Its server is the job's
	// owner's affair: an event must not wait a day for it, nor become a dead letter that an
	// operator looks after.
	urlPatience = 4 * time.Minute
	// urlFailing is how long it is remembered since when a receiver fails.
	urlFailing = time.Hour
	// mostCalls are under way at once: receivers that do not answer must leave the Trigger's
	// other deliveries, eight by default, to Slack and mail.
	mostCalls = 4
	// mostOfTenant are those of one tenant: one place is left for the others.
	mostOfTenant = mostCalls - 1
	// callWait is how long a call waits for a place among them before it is left for later.
	callWait = 250 * time.Millisecond
)

var errCalling = errors.New("other addresses are being called")

// urlChannel calls the address that a job's request named, with the job's end as a
// CloudEvent, signed as Standard Webhooks says. It is one channel of those jobs only.
type urlChannel struct {
	hosts        *notifyurl.Hosts
	keys         notifyurl.Keys
	guard        Guard
	now          func() time.Time
	timeout      time.Duration
	roundTripper http.RoundTripper // an http.Client would read where a redirect leads
	calling      chan struct{}     // a place for each call
	ofTenant     sync.Map          // a chan struct{} of places for each tenant
}

func newURL(cfg Config, g Guard, now func() time.Time) (*urlChannel, error) {
	hosts, err := notifyurl.New(cfg.Config)
	if err != nil {
		return nil, err
	}
	c := &urlChannel{hosts: hosts, guard: g, now: now, timeout: cfg.Timeout, calling: make(chan struct{}, mostCalls), roundTripper: bounded{hosts.Transport()}}
	if hosts.Enabled() {
		c.keys, err = notifyurl.NewKeys(cfg.NotifyURLSecret, cfg.NotifyURLSecretOld)
	}
	return c, err
}

func (*urlChannel) name() string { return "url" }

// pictured: what is sent is for programs.
func (*urlChannel) pictured() bool { return false }

// undelivered is the error of a call that is given up.
type undelivered struct {
	// reason is for the job's owner: it tells nothing of our network.
	reason string
	cause  error
}

func (u *undelivered) Error() string { return "given up: " + u.cause.Error() }
func (u *undelivered) Unwrap() error { return u.cause }

// send calls the job's address. Its error is an undelivered once nothing more is tried:
// the receiver refuses the call, or has failed for urlPatience.
func (c *urlChannel) send(ctx context.Context, m message) error {
	places, _ := c.ofTenant.LoadOrStore(m.Job.TenantID, make(chan struct{}, mostOfTenant))
	mine, late := places.(chan struct{}), time.After(callWait) //nolint:forcetypeassert // nothing else is put there
	select {
	case mine <- struct{}{}:
		defer func() { <-mine }()
	case <-late:
		return unavailable(errCalling, pause)
	}
	select {
	case c.calling <- struct{}{}:
		defer func() { <-c.calling }()
	case <-late:
		return unavailable(errCalling, pause)
	}
	reason, err := c.call(ctx, m.Job)
	var final *undelivered
	if err != nil && !errors.As(err, &final) {
		since, unknown := c.failing(ctx, m.Job.JobID)
		if unknown != nil {
			return errors.Join(err, unknown)
		}
		if c.now().Sub(since) < urlPatience {
			return err
		}
		err = &undelivered{reason, err}
	}
	c.forget(ctx, m.Job.JobID)
	return err
}

// call makes one call. The reason of its error is for the job's owner.
func (c *urlChannel) call(ctx context.Context, j job.Job) (reason string, err error) {
	if err := c.hosts.Check(j.NotifyURL); err != nil {
		return "", &undelivered{"notify_url is not allowed on this installation", err}
	}
	req, err := c.request(ctx, j)
	if err != nil {
		return "", err
	}
	var written atomic.Bool
	req = req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(i httptrace.WroteRequestInfo) { written.Store(i.Err == nil) },
	}))
	resp, err := c.roundTripper.RoundTrip(req)
	if err != nil {
		err = fmt.Errorf("call notify_url: %w", err)
		switch {
		case errors.Is(err, notifyurl.ErrInside):
			return "", &undelivered{"notify_url has no public address", err}
		case written.Load():
			return "notify_url did not answer", &uncertain{err}
		}
		return "notify_url could not be reached", unavailable(err, pause)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body) // so that the connection can be used again
	if resp.StatusCode/100 == 2 {
		return "", nil
	}
	reason = "notify_url answered " + strconv.Itoa(resp.StatusCode)
	err = errors.New(reason)
	if retriable(resp.StatusCode) {
		return reason, unavailable(err, min(max(transport.RetryAfter(resp.Header, time.Now()), pause), urlPatience))
	}
	return "", &undelivered{reason, err}
}

// request is the end of a job as its own event tells it, without rows. The id is the
// event's, and the same each time: a receiver knows a repeat by it.
func (c *urlChannel) request(ctx context.Context, j job.Job) (*http.Request, error) {
	j.Results = []job.Row{}
	e, err := event.NewFinished(j)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode event: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, j.NotifyURL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	at := c.now()
	req.Header.Set("Content-Type", cloudevents.ApplicationCloudEventsJSON)
	req.Header.Set("User-Agent", "sweepline")
	req.Header.Set("Webhook-Id", e.ID())
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
	req.Header.Set("Webhook-Signature", c.keys.Sign(j.TenantID, e.ID(), at, body))
	return req, nil
}

// failing returns since when a job's receiver fails: since now, if it did not before.
func (c *urlChannel) failing(ctx context.Context, jobID string) (time.Time, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.timeout/2)
	defer cancel()
	claim, note, err := c.guard.ClaimNoted(ctx, failingKey(jobID), c.timeout)
	if err != nil {
		return time.Time{}, err
	}
	if since, ok := readNote(note); ok && claim == once.Done {
		return since.at, nil
	}
	now := c.now().UTC()
	return now, c.guard.MarkDone(ctx, failingKey(jobID), notification{at: now}.note(), urlFailing)
}

// forget frees what failing keeps. It ends by itself where that fails.
func (c *urlChannel) forget(ctx context.Context, jobID string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.timeout/2)
	defer cancel()
	_ = c.guard.Release(ctx, failingKey(jobID))
}

func failingKey(jobID string) string { return "notify/" + jobID + "/url-failing" }
