//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// binaries are the programs under test.
type binaries struct {
	// dir has sweepline and one program for each function.
	dir string
	// skewed has the same programs with a wall clock that clockVariable moves;
	// empty where it could not be built.
	skewed string
	// functions are the names of the functions' programs.
	functions []string
}

// clockVariable moves a skewed program's clock by whole seconds.
const clockVariable = "CHAOS_CLOCK_SECONDS"

// build builds the programs into dir from the sources in repo.
//
// A process's clock cannot be moved from outside: time namespaces move the
// monotonic clocks only, and Go reads the wall clock from the vDSO, past
// libfaketime. So the same sources are compiled once more against a copy of
// package time whose Now adds an offset.
func build(ctx context.Context, repo, dir string, skew bool) (*binaries, error) {
	b := &binaries{dir: filepath.Join(dir, "bin")}
	mains, err := filepath.Glob(filepath.Join(repo, "functions", "cmd", "*", "main.go"))
	if err != nil || len(mains) == 0 {
		return nil, fmt.Errorf("find functions under %s: run this in the repository's root", repo)
	}
	for _, m := range mains {
		b.functions = append(b.functions, filepath.Base(filepath.Dir(m)))
	}
	if err := goBuild(ctx, repo, b.dir); err != nil || !skew {
		return b, err
	}
	overlay, err := clockOverlay(ctx, dir)
	if err != nil {
		return nil, err
	}
	b.skewed = filepath.Join(dir, "skewed")
	return b, goBuild(ctx, repo, b.skewed, "-overlay", overlay)
}

func goBuild(ctx context.Context, repo, dir string, flags ...string) error {
	args := append([]string{"build", "-trimpath", "-ldflags", "-s -w", "-o", dir + "/"}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, "./local/cmd/sweepline", "./functions/cmd/...")...)
	cmd.Dir = repo
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build programs: %w: %s", err, out)
	}
	return nil
}

const (
	clockRead  = "sec, nsec, mono := runtimeNow()"
	clockMoved = clockRead + "\n\tsec += clockOffset"
	clockFile  = `package time

import "syscall"

var clockOffset = func() int64 {
	text, _ := syscall.Getenv("` + clockVariable + `")
	n, _ := atoi(text)
	return int64(n)
}()
`
)

// clockOverlay writes the changed copy of package time and the file that tells
// the compiler of it.
func clockOverlay(ctx context.Context, dir string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("find GOROOT: %w", err)
	}
	std := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	source, err := os.ReadFile(filepath.Join(std, "time.go"))
	if err != nil {
		return "", fmt.Errorf("read package time: %w", err)
	}
	if strings.Count(string(source), clockRead) != 1 {
		return "", fmt.Errorf("move clocks: time.Now of this Go is not as expected; run with --clocks=false")
	}
	ours := filepath.Join(dir, "time")
	files := map[string]string{
		filepath.Join(ours, "time.go"):  strings.Replace(string(source), clockRead, clockMoved, 1),
		filepath.Join(ours, "clock.go"): clockFile,
	}
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(std, "time.go"):        filepath.Join(ours, "time.go"),
		filepath.Join(std, "chaos_clock.go"): filepath.Join(ours, "clock.go"),
	}})
	if err != nil {
		return "", fmt.Errorf("encode overlay: %w", err)
	}
	overlay := filepath.Join(ours, "overlay.json")
	files[overlay] = string(list)
	if err := os.MkdirAll(ours, 0o750); err != nil {
		return "", fmt.Errorf("make overlay: %w", err)
	}
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return "", fmt.Errorf("write overlay: %w", err)
		}
	}
	return overlay, nil
}
