//go:build linux

package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestInFlight(t *testing.T) {
	t.Parallel()
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	done := func(from, to int) sweep { return sweep{Status: "completed", Created: at(from), Completed: at(to)} }
	require.Equal(t, 0, inFlight(nil))
	require.Equal(t, 1, inFlight([]sweep{done(0, 1), done(1, 2)}), "one ends as the next begins")
	require.Equal(t, 2, inFlight([]sweep{done(0, 3), done(1, 2), done(2, 4)}))
	require.Equal(t, 2, inFlight([]sweep{{Status: "running", Created: at(0)}, done(9, 10)}), "what has not ended is there still")
}

func TestBusiest(t *testing.T) {
	t.Parallel()
	var calls []call
	for _, s := range []int{0, 10, 59, 60, 61, 300} {
		calls = append(calls, call{At: time.Unix(int64(s), 0)})
	}
	calls = append(calls, call{At: time.Unix(60, 0), Health: true})
	require.Equal(t, 4, busiest(calls, time.Minute), "10, 59, 60, 61; the first is a minute old by then")
	require.Equal(t, 0, busiest(nil, time.Minute))
}

func TestReadSweeps(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "simulator.jsonl")
	found, err := readSweeps(file)
	require.NoError(t, err)
	require.Empty(t, found, "nothing was submitted yet")
	require.NoError(t, os.WriteFile(file, []byte(`{"id":"a","status":"pending","request":{"webhook_url":"http://h/c?job=j1&token=t"}}
{"id":"b","status":"pending","request":{"webhook_url":"http://h/c?job=j2"}}
{"id":"a","status":"completed","request":{"webhook_url":"http://h/c?job=j1&token=t"}}
{"id":"c","sta`), 0o600))
	found, err = readSweeps(file)
	require.NoError(t, err)
	require.Len(t, found, 2, "the last line is torn")
	require.Equal(t, "j1", found[0].job())
	require.True(t, found[0].ended())
	require.False(t, found[1].ended())
}
