package function

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/zixly/sweepline/shared/job"
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
	Timestamp time.Time     `json:"timestamp"`
}

// WriteError answers with {error, code, details?, timestamp}. The message is
// for people and must hold nothing of the inside: no stack, address or value
// of a secret. Headers such as Allow or Retry-After are set before the call.
func WriteError(w http.ResponseWriter, status int, code, message string, details ...job.Problem) {
	w.Header().Set("Cache-Control", "no-store")
	WriteJSON(w, status, errorBody{Error: message, Code: code, Details: job.Invalid(details).Few(), Timestamp: time.Now().UTC()})
}

// WriteJSON answers with v as JSON. v must be encodable: a value that is not
// is a mistake in the program and ends as a 500.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client is gone if this fails
}
