package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"sync"
	"time"

	"github.com/zixly/sweepline/shared/build"
	"github.com/zixly/sweepline/shared/function"
	"github.com/zixly/sweepline/shared/openapi"
)

// documentTag is the entity tag of the document.
var documentTag = sync.OnceValue(func() string {
	sum := sha256.Sum256(openapi.Document())
	return `"` + hex.EncodeToString(sum[:16]) + `"`
})

// getOpenAPI answers anybody with the API's description.
func getOpenAPI(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-cache") // it is public, and changes with an upgrade
	h.Set("ETag", documentTag())
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(openapi.Document()))
}

// running is what this program is built of.
var running = sync.OnceValue(build.Read)

// getVersion answers anybody with what is running.
func getVersion(w http.ResponseWriter, _ *http.Request) {
	function.WriteJSON(w, http.StatusOK, running())
}
