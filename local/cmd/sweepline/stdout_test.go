package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What could not be printed is an error, in every form: a script must not take an empty
// file for an empty list.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("there is no /dev/full")
	}
	t.Cleanup(func() { _ = full.Close() })
	rows := `[{"strategy_type":"SMA","fast_period":5,"slow_period":20},{"strategy_type":"SMA","fast_period":10,"slow_period":30}]`
	job := func(status string) string {
		return `{"job_id":"` + idA + `","status":"` + status + `","ticker":"DAX","parameters":{"ticker":"DAX"},"metrics":{"combinations":2},"results":` + rows + `}`
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/api/jobs":
			_, _ = w.Write([]byte(`{"jobs":[` + job("COMPLETED") + `]}`))
		case strings.HasSuffix(r.URL.Path, "/stream"):
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = w.Write([]byte("event: status\ndata: {\"job_id\":\"" + idB + "\",\"status\":\"FAILED\"}\n\n"))
		case strings.HasSuffix(r.URL.Path, "/results"):
			_, _ = w.Write([]byte(`{"results":` + rows + `}`))
		case strings.HasSuffix(r.URL.Path, idB):
			_, _ = w.Write([]byte(job("FAILED")))
		case strings.HasPrefix(r.URL.Path, "/api/jobs/"):
			_, _ = w.Write([]byte(job("COMPLETED")))
		default:
			_, _ = w.Write([]byte(`{"job_id":"` + idA + `"}`))
		}
	}))
	t.Cleanup(server.Close)
	file, err := binary()
	require.NoError(t, err)
	commands := [][]string{
		{"map", idA}, {"watch", idA}, {"watch", idB}, {"watch", idB, "-o", "json"}, {"submit", "-t", "DAX"}, {"open", "--print"}, {"retry", idA}, {"version"},
		{"--version"}, {"--help"}, {"jobs", "--help"}, {"help", "exit-codes"}, {"templates"}, {"completion", "bash"}, {"broker", "status"}, {"discard", "--all"},
		{"__complete", "jobs", "--"}, {"context", "set", "desk", "--server", "http://localhost"}, {"templates", "write", t.TempDir()},
	}
	for _, list := range [][]string{{"jobs"}, {"job", idA}, {"results", idA}, {"triggers"}, {"dead-letters"}, {"dead-letters", "--group"}, {"context", "list"}} {
		for _, form := range []string{formTable, formWide, formJSON} {
			commands = append(commands, append(list[:len(list):len(list)], "-o", form))
		}
	}
	for _, form := range []string{formJSONL, formCSV, formName} { // of an empty list nothing is printed
		commands = append(commands, []string{"jobs", "-o", form}, []string{"results", idA, "-o", form})
	}
	home := t.TempDir()
	for _, args := range commands {
		cmd := exec.Command(file, args...)
		cmd.Env = append(os.Environ(), "SWEEPLINE_URL="+server.URL, "HOME="+home, "XDG_CONFIG_HOME="+home)
		var errs strings.Builder
		cmd.Stdout, cmd.Stderr = full, &errs
		_ = cmd.Run()
		require.Equal(t, exitFailed, cmd.ProcessState.ExitCode(), "%s: %s", args, errs.String())
		require.Contains(t, errs.String(), "sweepline: ", args)
		require.Contains(t, errs.String(), "no space left on device", args)
	}
}
