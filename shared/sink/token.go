package sink

import (
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// tokenEvery is how often the token's file is read again: kubelet exchanges it long
// before it expires.
const tokenEvery = 30 * time.Second

// token is what proves to the sink who posts.
type token struct {
	file string
	now  func() time.Time

	mu     sync.Mutex
	header []string // nil: there is none
	read   time.Time
}

func newToken(file string) *token { return &token{file: file, now: time.Now} }

// into adds the token to a request, if there is one.
func (t *token) into(h http.Header) {
	if t.file == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := t.now(); t.read.IsZero() || now.Sub(t.read) >= tokenEvery {
		t.read, t.header = now, nil
		if text, err := os.ReadFile(t.file); err == nil {
			if s := strings.TrimSpace(string(text)); s != "" {
				t.header = []string{"Bearer " + s}
			}
		}
	}
	if t.header != nil {
		h["Authorization"] = t.header
	}
}

// stale has the file read again at once: the sink does not take what was in it.
func (t *token) stale() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.read = time.Time{}
}
