package main

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/uuid"
	"github.com/spf13/cobra"

	api "github.com/zixly/sweepline/shared/client"
	"github.com/zixly/sweepline/shared/job"
)

// advice says what to do about an error of the API that cmd met; empty where nothing helps.
func advice(cmd *cobra.Command, err error) string {
	if _, nobody := errors.AsType[*api.Unreachable](err); nobody {
		return "Start one with 'sweepline up', or name another: --server, --context or SWEEPLINE_URL"
	}
	if ended, ok := errors.AsType[notStoredError](err); ok {
		return "Look again in a moment: " + again(cmd, "job "+ended.id)
	}
	e, refused := errors.AsType[*api.Error](err)
	switch {
	case !refused:
		return ""
	case e.Status == http.StatusUnauthorized:
		return "Name your tenant's key: a context, --key-file, or SWEEPLINE_KEY with SWEEPLINE_URL"
	case e.Code == "operators_only":
		return "Use the key of a tenant that OPERATOR_TENANTS names"
	case e.Status == http.StatusNotFound && strings.Contains(e.Path, "/dead-letters/"):
		return "Those that are there: " + again(cmd, "dead-letters")
	case e.Status == http.StatusNotFound && strings.Contains(e.Path, "/jobs/"):
		return "Your jobs: " + again(cmd, "jobs")
	case e.Status == http.StatusConflict && jobIn(e.Path) != "":
		return "Its state: " + again(cmd, "job "+jobIn(e.Path))
	case e.Temporary() && e.RetryAfter > 0:
		return "Try again in " + strconv.Itoa(int(e.RetryAfter/time.Second)) + " s"
	case e.Temporary():
		return "Try again in a moment"
	default:
		return ""
	}
}

// jobIn is the id of the job that a path of the API is of, or "".
func jobIn(path string) string {
	_, rest, _ := strings.Cut(path, "/api/jobs/")
	if id, _, _ := strings.Cut(rest, "/"); job.ValidID(id) {
		return id
	}
	return ""
}

// advised is an error's text, with what to do about it.
func advised(cmd *cobra.Command, err error) string {
	if more := advice(cmd, err); more != "" {
		return err.Error() + "\n" + more
	}
	return err.Error()
}

// submit sends a sweep.
func submit(ctx context.Context, c *api.Client, s job.Sweep) (api.Accepted, error) {
	return send(ctx, c, api.Request{Sweep: s}, "")
}

// send sends a sweep, or a group. Where the caller has no idempotency key it carries
// one of its own, so that it may be sent again while the service is unavailable.
func send(ctx context.Context, c *api.Client, s api.Request, key string) (api.Accepted, error) {
	key = cmp.Or(key, uuid.NewString())
	return backoff.Retry(ctx, func() (api.Accepted, error) {
		a, err := c.Submit(ctx, s, key)
		refused, isRefused := errors.AsType[*api.Error](err)
		if isRefused && !refused.Temporary() || errors.Is(err, api.ErrInvalidResponse) {
			return a, backoff.Permanent(err)
		}
		return a, err
	}, backoff.WithMaxTries(4))
}
