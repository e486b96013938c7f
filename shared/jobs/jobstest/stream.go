package jobstest

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Events reads a stream.
type Events struct {
	t *testing.T
	// Lines are those that are not read yet.
	Lines *bufio.Scanner
}

// Open listens to a job, from the event last on if there is one.
func Open(t *testing.T, h http.Handler, id, last string) (*Events, int) {
	t.Helper()
	if last == "" {
		return OpenPath(t, h, "/api/jobs/"+id+"/stream")
	}
	return OpenPath(t, h, "/api/jobs/"+id+"/stream", "Last-Event-ID", last)
}

// OpenPath listens to a path, with pairs of names and values as headers.
func OpenPath(t *testing.T, h http.Handler, path string, header ...string) (*Events, int) {
	t.Helper()
	srv := httptest.NewServer(h)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(func() { cancel(); srv.CloseClientConnections(); srv.Close() })
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+path, http.NoBody)
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	return &Events{t, bufio.NewScanner(resp.Body)}, resp.StatusCode
}

// Next gives the next event, heartbeats left out; "" at the end.
func (e *Events) Next() (name, id, data string) {
	for e.Lines.Scan() {
		field, value, _ := strings.Cut(e.Lines.Text(), ": ")
		switch field {
		case "event":
			name = value
		case "id":
			id = value
		case "data":
			data = value
		}
		if e.Lines.Text() == "" && name != "" {
			return name, id, data
		}
	}
	return "", "", ""
}

// Want checks the next event.
func (e *Events) Want(name, id, data string) {
	e.t.Helper()
	gotName, gotID, gotData := e.Next()
	require.Equal(e.t, name+" "+id, gotName+" "+gotID)
	require.JSONEq(e.t, data, gotData)
}
