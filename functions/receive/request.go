package receive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"github.com/zixly/sweepline/shared/enqueue"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/rfc3339"
	"github.com/zixly/sweepline/shared/telemetry"
	"github.com/zixly/sweepline/shared/transport"
)

// maxAttributes bounds the attributes of an event: each costs more than its bytes.
const maxAttributes = 160

// maxBody is the largest body that is taken.
const maxBody = 64 << 10

var (
	errTooLarge  = errors.New("the body is larger than 64 KiB")
	errMediaType = errors.New("the body must be application/json or a CloudEvent with JSON data, in UTF-8 and not compressed")
)

// answerRefusal answers a request that asks for nothing we could do.
func answerRefusal(w http.ResponseWriter, err error) {
	var invalid job.Invalid
	switch {
	case errors.Is(err, errTooLarge):
		w.Header().Set("Connection", "close") // the rest of the body is not read
		function.WriteError(w, http.StatusRequestEntityTooLarge, function.CodeTooLarge, err.Error())
	case errors.Is(err, errMediaType):
		function.WriteError(w, http.StatusUnsupportedMediaType, function.CodeMediaType, err.Error())
	case errors.As(err, &invalid):
		function.WriteError(w, http.StatusBadRequest, function.CodeInvalid, "the request is not valid", invalid...)
	default:
		function.WriteError(w, http.StatusBadRequest, function.CodeInvalid, "the body could not be read")
	}
}

// request is one to enqueue; tickers are those of a group, nil for one job.
type request struct {
	enqueue.Request

	tickers []string
}

// read makes a request to enqueue of an HTTP request, and takes up the trace that
// the body's event carries, if it is one.
func (f *Function) read(ctx context.Context, w http.ResponseWriter, r *http.Request) (request, context.Context, error) {
	form, err := formOf(r.Header)
	if err != nil {
		return request{}, ctx, err
	}
	body, err := readBody(w, r)
	if err != nil {
		return request{}, ctx, err
	}
	problems := function.UnknownQuery(r)
	key := enqueue.HeaderKey(r.Header, &problems)
	payload := body
	if form != plainJSON {
		e, err := readEvent(ctx, r.Header, body)
		if err != nil {
			return request{}, ctx, append(problems, job.Problem{Field: "event", Message: err.Error()})
		}
		payload = e.Data()
		if key == "" {
			key = enqueue.EventKey(e, &problems)
		}
		ctx = telemetry.FromEvent(ctx, *e)
	}
	asked, err := job.ParseRequest(payload)
	if err == nil {
		err = f.hosts.Check(asked.NotifyURL)
	}
	var invalid job.Invalid
	if errors.As(err, &invalid) {
		problems = append(problems, invalid...)
	}
	if len(problems) > 0 {
		return request{}, ctx, problems
	}
	return request{enqueue.Request{Key: key, Sweep: asked.Sweep, Labels: asked.Labels, NotifyURL: asked.NotifyURL}, asked.Tickers}, ctx, err
}

// form is how a body carries its payload.
type form int

const (
	plainJSON form = iota
	binaryEvent
	structuredEvent
)

// formOf judges the headers alone.
func formOf(h http.Header) (form, error) {
	if !transport.Uncoded(h) {
		return 0, errMediaType
	}
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return 0, errMediaType
	}
	if !transport.IsUTF8(params) {
		return 0, errMediaType
	}
	switch {
	case kind == cloudevents.ApplicationCloudEventsJSON:
		return structuredEvent, nil
	case kind != cloudevents.ApplicationJSON:
		return 0, errMediaType
	case h.Get("Ce-Specversion") != "" || h.Get("Ce-Id") != "" || h.Get("Ce-Type") != "":
		return binaryEvent, nil // or meant to be one: half an event is a mistake to be told
	default:
		return plainJSON, nil
	}
}

// readBody reads no more than maxBody.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := transport.ReadBody(w, r, maxBody)
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		return nil, errTooLarge
	}
	return body, err
}

// canonicalTime writes an event's time so that the library reads it, which takes some
// that are none and not all that are.
func canonicalTime(h http.Header, body []byte) (http.Header, []byte, error) {
	if text := h.Get("Ce-Time"); text != "" {
		at, err := rfc3339.Parse(text)
		if err != nil {
			return h, body, fmt.Errorf("time %w", err)
		}
		h = h.Clone()
		h.Set("Ce-Time", at.Format(time.RFC3339Nano))
		return h, body, nil
	}
	members, text := timeMember(body)
	if members == nil {
		return h, body, nil // no event with a time: the library says so
	}
	at, err := rfc3339.Parse(text)
	if err != nil {
		return h, body, fmt.Errorf("time %w", err)
	}
	if members["time"], err = json.Marshal(at); err != nil {
		return h, body, err
	}
	body, err = json.Marshal(members)
	return h, body, err
}

// timeMember returns the members of a structured event, and its time; nil where it is no
// event, or one without a time that is a string.
func timeMember(body []byte) (members map[string]json.RawMessage, text string) {
	if json.Unmarshal(body, &members) != nil || members["specversion"] == nil || json.Unmarshal(members["time"], &text) != nil {
		return nil, ""
	}
	return members, text
}

// readEvent reads a CloudEvent 1.0 in either mode. Its errors are for the
// client and repeat nothing of the event.
func readEvent(ctx context.Context, h http.Header, body []byte) (*cloudevents.Event, error) {
	if e := h.Get("Content-Type"); strings.HasPrefix(strings.ToLower(e), cloudevents.ApplicationCloudEventsJSON) &&
		transport.Members(body, maxAttributes) > maxAttributes {
		return nil, errors.New("has too many attributes")
	}
	h, body, err := canonicalTime(h, body)
	if err != nil {
		return nil, err
	}
	e, err := binding.ToEvent(ctx, cehttp.NewMessage(h, io.NopCloser(bytes.NewReader(body))))
	if err != nil {
		return nil, errors.New("is not a readable CloudEvent")
	}
	switch {
	case e.SpecVersion() != cloudevents.CloudEventsVersionV1:
		return nil, errors.New("specversion must be 1.0")
	case e.Validate() != nil:
		return nil, errors.New("needs id, source and type, and valid attributes")
	case e.DataContentType() != "" && e.DataMediaType() != cloudevents.ApplicationJSON:
		return nil, errors.New("datacontenttype must be application/json")
	}
	return e, nil
}
