package function

import (
	"cmp"
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
		return job.Invalid{{Field: "query", Message: "must be name=value, percent-encoded, joined by &"}}
	}
	rule := UnknownParameter(allowed...)
	var unknown job.Invalid
	for name := range given {
		if !slices.Contains(allowed, name) {
			unknown = append(unknown, job.Problem{Field: job.Clip(name), Message: rule})
		}
	}
	slices.SortFunc(unknown, func(a, b job.Problem) int { return cmp.Compare(a.Field, b.Field) })
	return unknown
}

// UnknownParameter is what is said of a parameter that is not among those allowed.
func UnknownParameter(allowed ...string) string {
	if len(allowed) == 0 {
		return "unknown parameter: there are none here"
	}
	return "unknown parameter: must be one of " + strings.Join(slices.Sorted(slices.Values(allowed)), ", ")
}
