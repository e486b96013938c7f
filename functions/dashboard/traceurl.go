package dashboard

import (
	"errors"
	"net/url"
	"strings"
)

// traceMark stands for the id in TRACE_URL.
const traceMark = "{trace_id}"

// checkTraceURL lets through an http address that holds traceMark, or nothing.
func checkTraceURL(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(strings.ReplaceAll(text, traceMark, "0"))
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || !strings.Contains(text, traceMark) {
		return errors.New("TRACE_URL must be an http address with {trace_id} in it")
	}
	return nil
}
