package main

import (
	"os"
	"strings"
	"testing"

	"github.com/creack/pty"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/stretchr/testify/require"
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
}
