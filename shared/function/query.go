package function

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/zixly/sweepline/shared/job"
)

// UnknownQuery names each query parameter of r that is not among those allowed, and
// what is allowed; nil if there is none. A parameter that is misspelt must not be
// passed over: the answer would be one to another question.
func UnknownQuery(r *http.Request, allowed ...string) job.Invalid {
	if r.URL.RawQuery == "" {
		return nil
	}
	given, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return malformed
	}
	rule := UnknownParameter(allowed...)
	var unknown job.Invalid
	for name := range given {
		if !slices.Contains(allowed, name) {
			unknown = append(unknown, job.Problem{Field: job.Clip(name), Message: rule})
		}
	}
	unknown.Sort()
	return unknown
}

// UnknownParameter is what is said of a parameter that is not among those allowed.
func UnknownParameter(allowed ...string) string {
	if len(allowed) == 0 {
		return "unknown parameter: there are none here"
	}
	return "unknown parameter: must be one of " + strings.Join(slices.Sorted(slices.Values(allowed)), ", ")
}

var malformed = job.Invalid{{Field: "query", Message: "must be name=value, percent-encoded, joined by &"}}

// StrictQuery is the query of a request that acts by it. Its error is a job.Invalid where
// a part cannot be read, which URL.Query drops, or where a parameter that is not among
// many is given more than once: what is passed over could be a filter, or that nothing is
// to be done yet.
func StrictQuery(r *http.Request, many ...string) (url.Values, error) {
	v, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, malformed
	}
	var repeated job.Invalid
	for name, values := range v {
		if len(values) > 1 && !slices.Contains(many, name) {
			repeated = append(repeated, job.Problem{Field: job.Clip(name), Message: "must be given once"})
		}
	}
	if len(repeated) == 0 {
		return v, nil
	}
	repeated.Sort()
	return nil, repeated
}
