//go:build linux

package bench

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a child uses counts, while it runs and after it has ended.
func TestCPUTimeOfAProcessAndItsChildren(t *testing.T) {
	t.Parallel()
	in, w, err := os.Pipe()
	require.NoError(t, err)
	out, ow, err := os.Pipe()
	require.NoError(t, err)
	// The child works, says so, and lives until its input ends.
	cmd := exec.Command("bash", "-c", `i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; (i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo done; read x); echo over; read x`)
	cmd.Stdin, cmd.Stdout = in, ow
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = w.Close()
		_ = cmd.Wait()
	})
	line := make([]byte, 16)
	_, err = out.Read(line) // the grandchild has worked and lives
	require.NoError(t, err)
	own, err := readStat(cmd.Process.Pid)
	require.NoError(t, err)
	both, err := cpuTime(cmd.Process.Pid)
	require.NoError(t, err)
	require.Positive(t, own.own)
	require.Greater(t, both, own.own, "the living child's work counts")
	_, err = w.WriteString("\n")
	require.NoError(t, err)
	_, err = out.Read(line) // it has ended
	require.NoError(t, err)
	after, err := cpuTime(cmd.Process.Pid)
	require.NoError(t, err)
	require.GreaterOrEqual(t, after, both, "nothing is forgotten when a child ends")

	m, err := readMemory(cmd.Process.Pid)
	require.NoError(t, err)
	require.Greater(t, m.resident, m.anonymous)
	require.Positive(t, m.anonymous)
	_, err = cpuTime(-1)
	require.Error(t, err)
}
