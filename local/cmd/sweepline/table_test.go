package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/stretchr/testify/require"

	api "github.com/zixly/sweepline/shared/client"
	"github.com/zixly/sweepline/shared/job"
)

// screen runs print on a terminal of so many columns and gives what it wrote.
func screen(t *testing.T, columns int, print func(w *os.File)) string {
	t.Helper()
	master, slave, err := pty.Open()
	require.NoError(t, err)
	require.NoError(t, pty.Setsize(slave, &pty.Winsize{Rows: 40, Cols: uint16(columns)}))
	read := make(chan string)
	go func() { read <- drain(master) }()
	print(slave)
	require.NoError(t, slave.Close())
	out := <-read
	require.NoError(t, master.Close())
	return strings.ReplaceAll(out, "\r\n", "\n")
}

// drain reads a terminal to its end, which Linux gives as an error.
func drain(f *os.File) string {
	var out strings.Builder
	for buf := make([]byte, 4096); ; {
		n, err := f.Read(buf)
		out.Write(buf[:n])
		if err != nil {
			return out.String()
		}
	}
}

func TestATableFitsTheTerminal(t *testing.T) {
	t.Parallel()
	fill := func(w *os.File) {
		g := newGrid(w, "id", "event", "attempts", "reason")
		g.wraps, g.spare = "reason", []string{"attempts", "event"}
		g.add("0123456789", "com.zixly.sweep.completed", 4, strings.Repeat("the trading API does not answer, ", 4)+"end")
		g.add("1123456789", "com.zixly.sweep.completed", 4, "short")
		g.print()
	}
	for columns, lost := range map[int]string{200: "", 100: "", 60: "ATTEMPTS", 40: "EVENT"} {
		out := screen(t, columns, fill)
		for line := range strings.Lines(out) {
			require.LessOrEqual(t, text.StringWidthWithoutEscSequences(strings.TrimRight(line, "\n")), columns, out)
		}
		require.Contains(t, out, "0123456789")
		require.Contains(t, out, "end", "the reason is broken, not cut")
		require.Contains(t, out, "REASON")
		if lost != "" {
			require.NotContains(t, out, lost)
		} else {
			require.Contains(t, out, "ATTEMPTS")
		}
	}
	file, err := os.Create(t.TempDir() + "/out")
	require.NoError(t, err)
	fill(file)
	require.NoError(t, file.Close())
	whole, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	require.Equal(t, 3, strings.Count(string(whole), "\n"), "a file is as wide as it needs to be")
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	require.Equal(t, "a [31mb c\nd", printable("a\x1b[31mb\u009bc\nd"))
	require.Equal(t, "abc\uFFFD", printable("a\u202eb\u2066c\xff"))
}

// hostile is what a terminal would obey.
const hostile = "\x1b]0;owned\x07\x1b[2J\u009b31m\u202e"

// Whatever text a job has, it does not steer the terminal, in no form of output.
func TestTextsOfOthersDoNotSteerTheTerminal(t *testing.T) {
	t.Parallel()
	seconds := 1.0
	j := api.Job{Job: job.Job{
		JobID: "id" + hostile, Status: "FAILED" + hostile, ErrorCode: "x" + hostile, ErrorMessage: "m" + hostile, RetryOf: "r" + hostile,
		Parameters: job.Sweep{Ticker: "T" + hostile, StrategyType: "S" + hostile}, DurationSeconds: &seconds,
		Results: []job.Row{{StrategyType: "S" + hostile}},
	}}
	var out bytes.Buffer
	printJob(&out, j)
	printTimeline(&out, []job.TimelineEvent{{Type: "t" + hostile, Error: "e" + hostile}})
	g := newGrid(&out, "text")
	g.add("cell" + hostile)
	g.print()
	require.NoError(t, printJSON(&out, map[string]any{"text": "ä" + hostile + "\U000e0041", "raw": json.RawMessage(`"` + "\u202e" + `"`)}))
	require.NoError(t, printChange(&out, false)(change{JobID: "id" + hostile, Ticker: "T" + hostile, Status: "FAILED", ErrorCode: "x" + hostile}))
	require.NoError(t, printChange(&out, true)(change{JobID: "id" + hostile}))
	_, err := io.Copy(&out, plainText(strings.NewReader("a,b\r\n\"=1\t2\",ä€"+hostile+"\n")))
	require.NoError(t, err)
	for _, bad := range []string{"\x1b", "\x07", "\u009b", "\u202e", "\U000e0041"} {
		require.NotContains(t, out.String(), bad)
	}
	require.Contains(t, out.String(), "a,b\n\"=1\t2\",ä€")
	require.NotContains(t, out.String(), "\r")
}

// A change has its time as all other JSON, and the state that people are told.
func TestChangesAsJSON(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	at := time.Date(2026, 1, 31, 13, 0, 0, 123456789, time.FixedZone("", 3600))
	require.NoError(t, printChange(&out, true)(change{Time: at, JobID: idA, Ticker: "DAX", Status: job.Failed, ErrorCode: job.Cancelled}))
	require.JSONEq(t, `{"time":"2026-01-31T12:00:00.123Z","job_id":"`+idA+`","ticker":"DAX","status":"FAILED","display_status":"CANCELLED","error_code":"cancelled",`+
		`"progress":0}`, out.String())
}

// Escapes are the same JSON to a program.
func TestPlainJSONIsTheSame(t *testing.T) {
	t.Parallel()
	in := map[string]string{"ä\n": "ä" + hostile + "\U000e0041\u2028 end"}
	var out bytes.Buffer
	require.NoError(t, printJSON(&out, in))
	var back map[string]string
	require.NoError(t, json.Unmarshal(out.Bytes(), &back))
	require.Equal(t, in, back)
}
