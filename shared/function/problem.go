package function

import (
	"net/http"
	"strings"
	"time"

	"github.com/munnerz/goautoneg"

	"github.com/zixly/sweepline/shared/job"
	"github.com/zixly/sweepline/shared/rfc3339"
)

// problemType is the media type of problems.
const problemType = "application/problem+json"

// problem is the JSON of an error answer for clients that ask for it. Its extension
// members are named as in errorBody.
// Rule: RFC 9457, 3.
type problem struct {
	// Type names the code; it is a name, and leads nowhere.
	Type      string        `json:"type"`
	Title     string        `json:"title"`
	Status    int           `json:"status"`
	Detail    string        `json:"detail"`
	Code      string        `json:"code"`
	Details   []job.Problem `json:"details,omitempty"`
	Timestamp rfc3339.Milli `json:"timestamp"`
}

func problemOf(status int, e errorBody) problem {
	return problem{
		Type: "urn:sweepline:problem:" + e.Code, Title: http.StatusText(status), Status: status, Detail: e.Error,
		Code: e.Code, Details: e.Details, Timestamp: e.Timestamp,
	}
}

// problemWriter writes to a client that asks for problems.
type problemWriter struct{ http.ResponseWriter }

// Unwrap lets http.ResponseController through.
func (w *problemWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// forProblems is w, such that WriteError writes a problem if r asks for it.
func forProblems(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
	if asksForProblems(r.Header) {
		return &problemWriter{w}
	}
	return w
}

// asksForProblems reports whether a client names the media type of problems, and does
// not like plain JSON better.
// Rule: RFC 9110, 12.5.1.
func asksForProblems(h http.Header) bool {
	accept := strings.ToLower(strings.Join(h.Values("Accept"), ","))
	if !strings.Contains(accept, problemType) {
		return false
	}
	var problem, plain float64
	for _, a := range goautoneg.ParseAccept(accept) {
		switch a.Type + "/" + a.SubType {
		case problemType:
			problem = max(problem, a.Q)
		case "application/json":
			plain = max(plain, a.Q)
		}
	}
	return problem > 0 && problem >= plain
}

// wantsProblem reports whether w, or what it wraps, is a problemWriter.
func wantsProblem(w http.ResponseWriter) bool {
	for {
		if _, ok := w.(*problemWriter); ok {
			return true
		}
		inner, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return false
		}
		w = inner.Unwrap()
	}
}

// now is the time of an answer.
func now() rfc3339.Milli { return rfc3339.Milli(time.Now()) }
