package transport

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// The body is not read past the limit, whatever its declared length.
func TestReadBodyStopsReading(t *testing.T) {
	t.Parallel()
	endless := &endlessBody{}
	r := httptest.NewRequest(http.MethodPost, "/", endless)
	r.ContentLength = -1
	_, err := ReadBody(httptest.NewRecorder(), r, 1000)
	var tooLarge *http.MaxBytesError
	require.ErrorAs(t, err, &tooLarge)
	require.LessOrEqual(t, endless.read, 2000)

	endless = &endlessBody{}
	r = httptest.NewRequest(http.MethodPost, "/", endless)
	r.ContentLength = 1001
	_, err = ReadBody(httptest.NewRecorder(), r, 1000)
	require.ErrorAs(t, err, &tooLarge)
	require.Zero(t, endless.read)
}

type endlessBody struct{ read int }

func (b *endlessBody) Read(p []byte) (int, error) {
	b.read += len(p)
	return len(p), nil
}
