package trading

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/zixly/sweepline/shared/transport"
)

// maxRetryAfter bounds what an answer can make us wait.
const maxRetryAfter = time.Hour

// Error is why a call did not succeed. Every error of [Client] is one, and it
// falls into exactly one of: Permanent, Unavailable, truncated (ErrTruncated), or
// not made: cancelled by the caller, or for want of a call in the budget, or for what
// was asked Before it.
type Error struct {
	// Op says what was tried, such as "submit sweep".
	Op string
	// Status is the HTTP status, 0 where there was no answer.
	Status int
	// Code and Detail are the API's own, clipped and without control
	// characters; empty where it gave none.
	Code, Detail string
	// RetryAfter is how long the API asks to wait, 0 where it does not say.
	RetryAfter time.Duration

	sent   bool
	unpaid bool // it was never made, for want of a call in the budget or by Before
	cause  error
}

// Error says what was tried and why it did not succeed, without the key.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Status != 0 {
		fmt.Fprintf(&b, ": trading API answered %d", e.Status)
	}
	if e.Code != "" {
		b.WriteString(" " + e.Code)
	}
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	if e.cause != nil {
		b.WriteString(": " + e.cause.Error())
	}
	return b.String()
}

// Unwrap is the network's or decoder's error behind it, if any.
func (e *Error) Unwrap() error { return e.cause }

// Permanent reports that the same call will be refused again: a 4xx other than
// 408, 425 and 429.
func (e *Error) Permanent() bool {
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return e.Status >= 400 && e.Status <= 499
}

// Unreadable reports that the API answered with success and what cannot be
// read. Whether it always will, only further attempts can tell.
func (e *Error) Unreadable() bool { return e.Status >= 200 && e.Status <= 299 }

// Unavailable reports that the API could not be reached, did not answer in time
// or sense, or asks to come again later: neither the sweep's fault nor its end.
// A call that its caller cancelled, or that was not made because the budget of
// calls was used up, says nothing about the API and is false.
func (e *Error) Unavailable() bool {
	return !e.Permanent() && !e.unpaid && !errors.Is(e.cause, context.Canceled) && !errors.Is(e.cause, ErrTruncated)
}

// Uncertain reports that the API may have acted on the call although it was not
// answered with success: the request had left, and no answer tells that it was
// turned away. A submission that failed so must be looked for before it is
// repeated. 4xx and 503 are certain: the API did not take it.
func (e *Error) Uncertain() bool {
	switch {
	case e.Status == 0, e.Status < 300:
		return e.sent
	default:
		return e.Status >= 500 && e.Status != http.StatusServiceUnavailable
	}
}

// Permanent reports whether err is an *Error that repeating will not mend.
func Permanent(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Permanent()
}

// NotFound reports whether the API answered that it does not know the id.
func NotFound(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusNotFound
}

// Unavailable reports whether err is an *Error that tells of the API being
// unavailable.
func Unavailable(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Unavailable()
}

// Unasked reports whether err is an *Error of a call that was not made, because the
// budget of calls was used up for as long as its caller would wait.
func Unasked(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.unpaid
}

// Uncertain reports whether the API may have acted on the call; an error that is
// no *Error leaves that open, so it is true for those.
func Uncertain(err error) bool {
	var e *Error
	if errors.As(err, &e) {
		return e.Uncertain()
	}
	return err != nil
}

// readError reads an answer that is no success. Its body is a help, not a need:
// proxies answer in HTML.
func readError(op string, resp *http.Response) *Error {
	e := &Error{Op: op, Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header, time.Now()), sent: true}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorAnswer))
	if err != nil {
		return e
	}
	var answer struct {
		Error  json.RawMessage `json:"error"`
		Detail json.RawMessage `json:"detail"`
		Code   json.RawMessage `json:"code"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return e
	}
	e.Code = clean(rawText(answer.Code), 80)
	e.Detail = clean(detailText(answer.Detail), maxMessage)
	if e.Detail == "" {
		e.Detail = clean(rawText(answer.Error), maxMessage)
	}
	return e
}

// detailText reads a text or the framework's list of {loc, msg}.
func detailText(raw json.RawMessage) string {
	var list []struct {
		Loc []any  `json:"loc"`
		Msg string `json:"msg"`
	}
	if json.Unmarshal(raw, &list) != nil || len(list) == 0 {
		return rawText(raw)
	}
	lines := make([]string, len(list))
	for i, p := range list {
		loc := make([]string, len(p.Loc))
		for k, l := range p.Loc {
			loc[k] = fmt.Sprint(l)
		}
		lines[i] = strings.Join(loc, ".") + ": " + p.Msg
	}
	return strings.Join(lines, "; ")
}

// rawText is a JSON string's text, nothing for null, and other JSON as it is.
func rawText(raw json.RawMessage) string {
	var s *string
	if json.Unmarshal(raw, &s) == nil {
		if s == nil {
			return ""
		}
		return *s
	}
	return string(raw)
}

// retryAfter is when the API wants to be asked again.
func retryAfter(h http.Header, now time.Time) time.Duration {
	return min(transport.RetryAfter(h, now), maxRetryAfter)
}

// RetryAfter is when the API wants to be asked again, 0 where err does not say.
func RetryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.RetryAfter
	}
	return 0
}
