//go:build !fuzz

package receive_test

import (
	"net/http"
	"testing"

	"github.com/zixly/sweepline/shared/openapi/openapitest"
)

// documented is h whose answers are held to the API's document.
func documented(t testing.TB, h http.Handler) http.Handler { return openapitest.Wrap(t, h) }
