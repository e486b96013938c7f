package function

import (
	"encoding/json"
	"net/http"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/rfc3339"
)

// Machine-readable codes of error answers. A step may add its own; these are
// the ones that more than one step gives.
const (
	CodeInvalid      = "invalid_payload"
	CodeUnauthorized = "unauthorized"
	CodeNotFound     = "not_found"
	CodeMethod       = "method_not_allowed"
	CodeConflict     = "conflict"
	CodeTooLarge     = "payload_too_large"
	CodeMediaType    = "unsupported_media_type"
	CodeKeyReused    = "idempotency_key_reused"
	CodeTooMany      = "too_many_requests"
	CodeUnavailable  = "unavailable"
	CodeInternal     = "internal"
)

// errorBody is the JSON of every error answer.
type errorBody struct {
	Error     string        `json:"error"`
	Code      string        `json:"code"`
	Details   []job.Problem `json:"details,omitempty"`
	Timestamp rfc3339.Milli `json:"timestamp"`
}

// WriteError answers with {error, code, details?, timestamp}, or with a problem of RFC
// 9457 where w is that of a Handler and its client asked for one. The message is
// for people and must hold nothing of the inside: no stack, address or value
// of a secret. Headers such as Allow or Retry-After are set before the call.
func WriteError(w http.ResponseWriter, status int, code, message string, details ...job.Problem) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Accept")
	e := errorBody{Error: message, Code: code, Details: job.Invalid(details).Few(), Timestamp: now()}
	if wantsProblem(w) {
		write(w, status, problemType, problemOf(status, e))
		return
	}
	WriteJSON(w, status, e)
}

// WriteJSON answers with v as JSON. v must be encodable: a value that is not
// is a mistake in the program and ends as a 500.
func WriteJSON(w http.ResponseWriter, status int, v any) { write(w, status, "application/json", v) }

func write(w http.ResponseWriter, status int, mediaType string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client is gone if this fails
}
