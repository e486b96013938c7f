package dashboard

import (
	"errors"
	"strings"

	"github.com/zixly/sweepline/shared/transport"
)

// traceMark stands for the id in TRACE_URL.
const traceMark = "{trace_id}"

// checkTraceURL lets through an http address that holds traceMark, or nothing.
func checkTraceURL(text string) error {
	if text == "" {
		return nil
	}
	_, err := transport.ParseURL(strings.ReplaceAll(text, traceMark, "0"))
	if err != nil || !strings.Contains(text, traceMark) {
		return errors.New("TRACE_URL must be an http address with {trace_id} in it")
	}
	return nil
}
