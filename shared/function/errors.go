package function

import (
	"encoding/json"
	"net/http"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/rfc3339"
)

// Machine-readable codes of error answers. A step may add its own; these are
// the ones that more than one step returns. The reference of errors is made of
// these comments: the status, when it is answered, what the caller does.
const (
	// CodeInvalid answers 400: the body, the query or the event is not valid; details
	// names each problem. Remedy: correct what is named. The same request fails again.
	CodeInvalid = "invalid_payload"
	// CodeUnauthorized answers 401: there is no key, no session or no token, or it is not
	// valid. Remedy: send the tenant's key as Authorization: Bearer KEY, or X-API-Key.
	CodeUnauthorized = "unauthorized"
	// CodeNotFound answers 404: there is no such job, dead letter, Trigger or address, or
	// it is another tenant's. Remedy: list what there is; check the key.
	CodeNotFound = "not_found"
	// CodeMethod answers 405: the address does not take this method; the header Allow
	// names those that it takes. Remedy: use one of them.
	CodeMethod = "method_not_allowed"
	// CodeConflict answers 409: the job's state does not allow it, such as to cancel a job
	// that has ended. Remedy: read the job first. The same request fails again.
	CodeConflict = "conflict"
	// CodeTooLarge answers 413: the body or the event is longer than is taken. Remedy:
	// send less, such as fewer ids at once.
	CodeTooLarge = "payload_too_large"
	// CodeMediaType answers 415: the Content-Type, its charset or the Content-Encoding is
	// not one that is read. Remedy: send application/json in UTF-8, or a CloudEvent where
	// events are taken.
	CodeMediaType = "unsupported_media_type"
	// CodeKeyReused answers 422: the idempotency key was used within 24 hours with another
	// payload. Remedy: use a new key for a new request.
	CodeKeyReused = "idempotency_key_reused"
	// CodeTooMany answers 429: a share of the tenant is used up (requests a second, open
	// jobs, streams, large reads), or too many wrong keys came from this address. Remedy:
	// wait for as long as Retry-After says, then send it again.
	CodeTooMany = "too_many_requests"
	// CodeUnavailable answers 503: Redis, the database or the broker does not answer, or
	// has no room. Remedy: wait for as long as Retry-After says, then
	// send it again with the same idempotency key.
	CodeUnavailable = "unavailable"
	// CodeInternal answers 500: a fault of the program; the log has it. Remedy: send it
	// again; report it where that does not help.
	CodeInternal = "internal"
	// CodeCrossOrigin answers 403: a browser says that the request comes from a page of
	// another site. Remedy: act from the dashboard's own pages, or with a key from a
	// program.
	CodeCrossOrigin = "cross_origin"
	// CodeMisdirected answers 421: the host name is not one that sweepline up answers for.
	// Remedy: use localhost, or name the host in ALLOWED_HOSTS or WEBHOOK_BASE_URL.
	CodeMisdirected = "misdirected_request"
	// CodeOperators answers 403: what concerns all tenants is for operators. Remedy: use
	// the key of a tenant that OPERATOR_TENANTS names.
	CodeOperators = "operators_only"
	// CodeNotReady answers 503: at /readyz, while a store that the process needs does not
	// answer; the message names it. Remedy: none for the process, which becomes ready by
	// itself; see to the store.
	CodeNotReady = "not_ready"
	// CodeNotAlive answers 503: at /healthz, where the process cannot do its work any more.
	// Remedy: restart it, as a cluster does by itself.
	CodeNotAlive = "not_alive"
	// CodeRetry answers 500 or 503: a function tells the broker that it could not handle
	// an event now. Remedy: none; the broker sends it again as the Trigger says.
	CodeRetry = "retry"
	// CodeRejected answers 400, 403 or 422: a function tells the broker that it can never
	// handle an event. Remedy: see the dead letter, which has the reason.
	CodeRejected = "rejected"
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
