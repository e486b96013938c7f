//go:build fuzz

package receive_test

import (
	"net/http"
	"testing"
)

// documented is h as it is: instrumenting the reader of the API's document takes minutes.
func documented(_ testing.TB, h http.Handler) http.Handler { return h }
