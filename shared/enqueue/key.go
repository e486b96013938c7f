package enqueue

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/zixly/sweepline/shared/job"
)

// Bounds of what makes a request repeatable. Keys are only ever hashed, so the
// bounds keep mistakes out, not harm.
const (
	MaxKey      = 255
	maxEventKey = 2048
)

// HeaderKey reads Idempotency-Key, or else webhook-id. A key in a header wins
// over an event's source and id, since the caller chose it for this request.
func HeaderKey(h http.Header, problems *job.Invalid) string {
	// The two and events are kept apart by a newline, which no header holds.
	for name, space := range map[string]string{"Idempotency-Key": "", "Webhook-Id": "webhook\n"} {
		values := h.Values(name)
		if len(values) == 0 || name == "Webhook-Id" && len(h.Values("Idempotency-Key")) > 0 {
			continue
		}
		key := unquote(values[0])
		if len(values) > 1 || len(key) == 0 || len(key) > MaxKey || strings.ContainsFunc(key, unprintable) {
			*problems = append(*problems, job.Problem{
				Field:   name,
				Message: "must be given once, with 1 to " + strconv.Itoa(MaxKey) + " printable ASCII characters",
			})
			return ""
		}
		return space + key
	}
	return ""
}

// unquote takes the quotes off: the IETF draft has a structured-field string,
// most clients send the bare key, and both mean the same.
func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(s[1 : len(s)-1])
	}
	return s
}

func unprintable(r rune) bool { return r < ' ' || r > '~' }

// PingType is the type of the events that Knative's PingSource sends, and `sweepline up`
// for one.
const PingType = "dev.knative.sources.ping"

// PingSource is the source of the events of a PingSource, by Knative's rule.
func PingSource(namespace, name string) string {
	return "/apis/v1/namespaces/" + namespace + "/pingsources/" + name
}

// PingKey is the key of a run of a schedule: its source, and the minute. PingSource gives
// each event an id at random, and two replicas of it may send for one run; it sends within
// a second of the run.
func PingKey(source string, at time.Time) string {
	return "ping\n" + strconv.Itoa(len(source)) + "\n" + source + at.UTC().Truncate(time.Minute).Format(time.RFC3339)
}

// EventKey makes a key of what the CloudEvents spec says is unique; of a run of a schedule
// it is PingKey.
func EventKey(e *cloudevents.Event, problems *job.Invalid) string {
	if len(e.Source())+len(e.ID()) > maxEventKey {
		*problems = append(*problems, job.Problem{Field: "event", Message: "source and id are too long"})
		return ""
	}
	if e.Type() == PingType && !e.Time().IsZero() {
		return PingKey(e.Source(), e.Time())
	}
	return "event\n" + strconv.Itoa(len(e.Source())) + "\n" + e.Source() + e.ID()
}
