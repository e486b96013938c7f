package dispatch

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What a process of this version has written of a retry or a dead letter, one of the
// next version must read.
func TestGoldenStates(t *testing.T) {
	t.Parallel()
	const stored = `{"attempts":2,"absent":3,"absent_ms":4000,"first":1767323045000,"code":503,"data":"bm8=","dest":"http://s/",` +
		`"dead":true,"sink":1,"sink_code":500,"sink_data":"eA==","taken":true,"origin":"1-0"}`
	s := State{
		Attempts: 2, Absent: 3, AbsentMs: 4000, First: 1767323045000, Code: 503, Data: []byte("no"), Dest: "http://s/",
		Dead: true, Sink: 1, SinkCode: 500, SinkData: []byte("x"), Taken: true, Origin: "1-0",
	}
	require.Equal(t, s, DecodeState([]byte(stored)))
	require.JSONEq(t, stored, string(s.Encode()))
	require.Equal(t, State{}, DecodeState([]byte("{")), "what cannot be read begins anew")
}
