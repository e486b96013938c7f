package function

import (
	"encoding/json"
	"net/http"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/rfc3339"
)

// Machine-readable codes of error answers. A step may add its own; these are
// the ones that more than one step returns.
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
	CodeCrossOrigin  = "cross_origin"
	CodeMisdirected  = "misdirected_request"
	CodeOperators    = "operators_only"
	CodeNotReady     = "not_ready"
	CodeNotAlive     = "not_alive"
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

// WriteNotFound answers 404 for what is not there or not the caller's: a noun, such as
// "job" or "address".
func WriteNotFound(w http.ResponseWriter, what string) {
	WriteError(w, http.StatusNotFound, CodeNotFound, "no such "+what)
}

// WriteMethodNotAllowed answers 405 and names the methods that there are, as of an
// Allow header.
// Rule: RFC 9110, 15.5.6.
func WriteMethodNotAllowed(w http.ResponseWriter, allow string) {
	w.Header().Set("Allow", allow)
	WriteError(w, http.StatusMethodNotAllowed, CodeMethod, "method not allowed, use "+allow)
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
