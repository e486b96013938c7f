package transport

import (
	"net/http"
	"slices"
	"strings"
)

// Uncoded reports whether a body comes as it is: without a content coding, or with
// "identity" alone.
// Rule: RFC 9110, 8.4: codings are a list, and are read without regard to case.
func Uncoded(h http.Header) bool {
	for _, line := range h.Values("Content-Encoding") {
		for coding := range strings.SplitSeq(line, ",") {
			if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "identity") {
				return false
			}
		}
	}
	return true
}

// utf8Labels are what UTF-8 is called.
// Rule: Encoding Standard, 4.2.
var utf8Labels = []string{"utf-8", "utf8", "unicode-1-1-utf-8", "unicode11utf8", "unicode20utf8", "x-unicode20utf8"}

// IsUTF8 reports whether the parameters of a media type leave its text in UTF-8, which
// is what it is without a charset as well.
func IsUTF8(params map[string]string) bool {
	charset, named := params["charset"]
	return !named || slices.Contains(utf8Labels, strings.ToLower(strings.TrimSpace(charset)))
}

// Secure reports whether the client speaks TLS, to us or to the first proxy before us.
// Each proxy may have added what it was spoken to by; the first is the client's.
func Secure(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	first, _, _ := strings.Cut(r.Header.Get("X-Forwarded-Proto"), ",")
	return strings.EqualFold(strings.TrimSpace(first), "https")
}
